import numpy as np
import pytest

from stockpot.errors import FieldError
from stockpot.evaluation import METRICS
from stockpot.evaluation.choices.verdict import Option, holm, judge
from stockpot.evaluation.scores.bootstrap import Estimate

COVERS = "Intervals cover test samples only."


def option(choice, selection, test, spread=0.001, forwards=1, seed=0):
    draws = test + spread * np.random.default_rng(seed).standard_normal(2000)
    return Option(
        choice=choice,
        method=choice,
        forwards=forwards,
        selection=selection,
        test=Estimate(test, draws, 500),
    )


def said(options, margin=0.005, metric="accuracy"):
    return judge(options, METRICS[metric], margin, covers=COVERS)


def test_a_clear_ensemble_is_taken_with_its_numbers():
    found = said(
        [
            option("keep-best", 0.90, 0.90, seed=1),
            option("uniform-soup", 0.91, 0.91, seed=2),
            option("ensemble", 0.95, 0.94, forwards=10, seed=3),
        ]
    )
    assert found.choice == found.preferred == "ensemble"
    assert "94.0%" in found.sentence
    assert "4.0 points" in found.sentence
    assert "10 network evaluations a sample" in found.sentence
    assert COVERS in found.sentence
    assert {one.b for one, _ in found.evidence} == {"keep-best", "uniform-soup"}
    assert all(one.a == "ensemble" and p < 0.05 for one, p in found.evidence)


def test_words_say_what_was_tested():
    options = [
        option("keep-best", 0.90, 0.90, spread=0.004, seed=1),
        option("greedy-soup", 0.95, 0.9, spread=0.004, seed=2),
        option("ensemble", 0.95, 0.85, forwards=10, seed=3),
    ]
    sentence = said(options).sentence
    assert "not shown to be within 0.5 points of keep-best or better (" in sentence
    assert ": within 0.5 points of ensemble or better (+5.0 points [" in sentence
    dear = said([options[0], option("ensemble", 0.95, 0.95, forwards=10, seed=3)])
    assert ": better than keep-best (+5.0 points [" in dear.sentence
    assert "than keep-best" in said(options[:2], margin=0.0).sentence


def test_what_costs_less_wins_within_the_margin():
    options = [
        option("keep-best", 0.90, 0.90, seed=1),
        option("greedy-soup", 0.948, 0.95, seed=2),
        option("ensemble", 0.95, 0.951, forwards=10, seed=3),
    ]
    assert said(options).choice == "greedy-soup"
    assert said(options, margin=0.0).preferred == "ensemble"
    assert said(options, margin=0.2).choice == "greedy-soup"  # equal cost: the better one


def test_equals_are_left_as_they_are():
    same = option("keep-best", 0.9, 0.9)
    other = Option(
        choice="uniform-soup", method="uniform-soup", forwards=1, selection=0.9, test=same.test
    )
    assert said([same, other]).choice == "keep-best"


def test_what_the_test_split_does_not_confirm_is_undecided():
    noisy = [
        option("keep-best", 0.90, 0.90, spread=0.02, seed=1),
        option("ensemble", 0.95, 0.91, spread=0.02, forwards=10, seed=2),
    ]
    found = said(noisy)
    assert (found.choice, found.preferred) == ("undecided", "ensemble")
    assert "do not decide" in found.sentence
    worse = [option("keep-best", 0.9, 0.95), option("uniform-soup", 0.92, 0.90)]
    assert said(worse).choice == "undecided"


def test_smaller_is_better_where_the_metric_says_so():
    options = [option("keep-best", 0.5, 0.5, seed=1), option("uniform-soup", 0.4, 0.4, seed=2)]
    found = said(options, metric="nll")
    assert found.choice == "uniform-soup"
    assert "-0.1" in found.sentence


def test_a_single_option_and_numbers_without_draws():
    assert said([option("keep-best", 0.9, 0.9)]).choice == "keep-best"
    nothing = said([])
    assert (nothing.choice, nothing.evidence) == ("undecided", ())
    assert "Nothing to decide" in nothing.sentence
    bare = [
        Option(choice=one, method=one, forwards=1, selection=s, test=Estimate(s, np.empty(0), 5))
        for one, s in (("keep-best", 0.1), ("uniform-soup", 0.9))
    ]
    assert said(bare).choice == "undecided"


def test_holm_by_hand():
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.5, 0.9]) == [1.0, 1.0]
    assert holm([]) == []


def test_a_margin_is_not_negative():
    with pytest.raises(FieldError, match="margin"):
        said([option("keep-best", 0.9, 0.9)], margin=-0.1)
