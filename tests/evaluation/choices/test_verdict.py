import math

import numpy as np
import pytest
import torch

from stockpot.errors import FieldError
from stockpot.evaluation import METRICS
from stockpot.evaluation.choices.verdict import NOTHING, UNDECIDED, Option, judge
from stockpot.evaluation.results.estimator import SHARE, holm
from stockpot.evaluation.scores.bootstrap import (
    Resampler,
    over_pools,
    pool_estimate,
    share_estimate,
)

COVERS = "Intervals cover test samples only."


def option(method, selection, test, spread=0.001, forwards=1, seed=0):
    draws = test + spread * np.random.default_rng(seed).standard_normal(2000)
    return Option(
        method=method,
        forwards=forwards,
        selection=selection,
        test=pool_estimate(test, draws, 500, SHARE),
    )


def answering(method, right, forwards=1):
    """An option by its answers on the test samples, [P, N]."""
    resampler = Resampler(torch.arange(right.shape[1]))
    each = [share_estimate(one.double(), resampler) for one in right]
    return Option(
        method=method, forwards=forwards, selection=float(right.double().mean()),
        test=over_pools(each),
    )  # fmt: skip


def said(options, margin=0.005, metric="accuracy", **more):
    return judge(options, METRICS[metric], margin, covers=COVERS, **more)


def test_a_clear_ensemble_is_taken_with_its_numbers():
    found = said(
        [
            option("single-best", 0.90, 0.90, seed=1),
            option("uniform-soup", 0.91, 0.91, seed=2),
            option("logits-ensemble", 0.95, 0.94, forwards=10, seed=3),
        ],
        references=[option("single-mean", 0.89, 0.89, seed=4)],
    )
    assert found.choice == found.preferred == found.best == "logits-ensemble"
    assert found.sentence.startswith("Take logits-ensemble: ")
    assert "94.0% [93.8, 94.2]" in found.sentence
    assert "better than single-best (+4.0 points [" in found.sentence
    assert "10 network evaluations a sample" in found.sentence
    assert COVERS in found.sentence
    assert {one.b for one, _ in found.evidence} == {"single-best", "uniform-soup", "single-mean"}
    assert all(one.a == "logits-ensemble" and p < 0.05 for one, p in found.evidence)


def test_words_say_what_was_tested():
    options = [
        option("single-best", 0.90, 0.90, spread=0.004, seed=1),
        option("greedy-soup", 0.95, 0.9, spread=0.004, seed=2),
        option("logits-ensemble", 0.95, 0.85, forwards=10, seed=3),
    ]
    found = said(options)
    assert "Not shown to be within 0.5 points of single-best or better (" in found.sentence
    assert "Shown to be within 0.5 points of logits-ensemble or better (+5.0" in found.sentence
    assert found.claims[1] == "within 0.5 points of logits-ensemble or better"
    assert "better than single-best (" in said(options[:2], margin=0.0).sentence


def test_what_is_best_on_the_test_split_is_marked_and_chooses_nothing():
    options = [option("single-best", 0.95, 0.90, seed=1), option("ties", 0.90, 0.95, seed=2)]
    found = said(options)
    assert (found.choice, found.preferred, found.best) == (UNDECIDED, "single-best", "ties")
    assert "the best there, ties, has 95.0%" in found.sentence


def test_what_costs_less_wins_within_the_margin():
    options = [
        option("single-best", 0.90, 0.90, seed=1),
        option("greedy-soup", 0.948, 0.95, seed=2),
        option("logits-ensemble", 0.95, 0.951, forwards=10, seed=3),
    ]
    assert said(options).choice == "greedy-soup"
    assert said(options, margin=0.0).preferred == "logits-ensemble"
    assert said(options, margin=0.2).choice == "greedy-soup"  # equal cost: the better one


def test_every_rival_must_be_beaten_and_none_is_corrected_for_their_number():
    """An intersection-union test: each p of 4% is enough, however many there are."""
    rivals = [option(f"soup-{i}", 0.8, 0.9 - 0.0045, spread=0.0015, seed=i) for i in range(2, 12)]
    best = option("single-best", 0.9, 0.9, spread=0.0015, seed=1)
    found = said([best, *rivals], margin=0.0)
    assert max(p for _, p in found.evidence) < 0.05 < 10 * max(p for _, p in found.evidence)
    assert found.choice == "single-best"
    assert "and 7 more in the table" in found.sentence


def test_the_same_answers_decide_nothing_however_sure_they_look():
    right = (torch.arange(30) % 5 > 0)[None]
    few = [answering("single-best", right), answering("logits-ensemble", right, forwards=5)]
    found = said(few)
    assert (found.choice, found.preferred) == (NOTHING, "single-best")
    assert "the same answers on all 30 test samples" in found.sentence
    assert "30 test samples cannot show a margin of 0.5 points: that takes 736" in found.sentence
    assert found.evidence[0][1] == 1
    nearly = [*few, answering("uniform-soup", right.roll(1, dims=1))]
    found = said(nearly)
    assert found.choice == UNDECIDED
    assert "that takes 736" in found.sentence


def test_pools_do_not_count_as_samples():
    right = (torch.arange(300) % 5 > 0)[None].repeat(10, 1)
    wrong = right.clone()
    wrong[:, 0] = ~wrong[:, 0]
    gap = answering("a", right).test.minus(answering("b", wrong).test)
    assert gap.p_no_worse(0.005) > 0.05
    many = (torch.arange(3000) % 5 > 0)[None]
    assert answering("a", many).test.minus(answering("b", many).test).p_no_worse(0.005) < 0.05


def test_two_pools_show_nothing():
    right = torch.rand(2, 100, generator=torch.Generator().manual_seed(0)) < 0.9
    worse = answering("uniform-soup", right & (right.cumsum(1) > 40))
    found = said([answering("single-best", right), worse])
    assert found.choice == UNDECIDED
    assert math.isnan(found.evidence[0][1])
    assert "no interval], no p" in found.sentence


def test_what_the_test_split_does_not_confirm_is_undecided():
    noisy = [
        option("single-best", 0.90, 0.90, spread=0.02, seed=1),
        option("logits-ensemble", 0.95, 0.91, spread=0.02, forwards=10, seed=2),
    ]
    found = said(noisy)
    assert (found.choice, found.preferred) == (UNDECIDED, "logits-ensemble")
    assert found.sentence.startswith("The data do not decide")
    worse = [option("single-best", 0.9, 0.95), option("uniform-soup", 0.92, 0.90)]
    assert said(worse).choice == UNDECIDED


def test_smaller_is_better_where_the_metric_says_so():
    options = [option("single-best", 0.5, 0.5, seed=1), option("uniform-soup", 0.4, 0.4, seed=2)]
    found = said(options, metric="nll")
    assert found.choice == found.best == "uniform-soup"
    assert "-0.1" in found.sentence


def test_one_option_and_numbers_without_draws():
    for few in ([], [option("single-best", 0.9, 0.9)]):
        nothing = said(few)
        assert (nothing.choice, nothing.evidence) == (NOTHING, ())
        assert nothing.sentence.startswith("Nothing to decide")
    bare = [
        Option(method=one, forwards=1, selection=s, test=pool_estimate(s, np.empty(0), 5))
        for one, s in (("single-best", 0.1), ("uniform-soup", 0.9))
    ]
    assert said(bare).choice == UNDECIDED


def test_holm_by_hand():
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.5, 0.9]) == [1.0, 1.0]
    assert holm([]) == []
    assert holm([math.nan, 0.03, 0.01])[1:] == pytest.approx([0.03, 0.02])


def test_a_margin_is_not_negative():
    with pytest.raises(FieldError, match="margin"):
        said([option("single-best", 0.9, 0.9)], margin=-0.1)
