import csv
import io
import json

import pytest
import torch

from stockpot.errors import StockpotError
from stockpot.evaluation import (
    Comparison,
    Predictions,
    accuracy,
    choose,
    contender,
    mean_contender,
    pool,
    tabulate,
)

LABELS = torch.arange(40) % 4
PARTS = {"left": slice(0, 20), "right": slice(20, 40)}


def guesses(right):
    """Predictions that are right on the first `right` samples and wrong after them."""
    classes = torch.where(torch.arange(40) < right, LABELS, (LABELS + 1) % 4)
    logits = torch.nn.functional.one_hot(classes, 4).float()
    return Predictions(logits, LABELS, torch.arange(40))


@pytest.fixture
def comparison():
    contenders = [
        contender("bad", "control", guesses(4), n=2),
        *pool({"a": guesses(30), "b": guesses(20)}, [0.4, 0.6]),
        contender("soup", "merge", guesses(36), n=2),
    ]
    return Comparison(
        title="toy",
        rows=tabulate(contenders, PARTS, split="test", seed=3),
        differences=(contenders[-1].minus(contenders[0]),),
        choices=("none",),
        conclusion="so",
    )


def test_the_table_has_a_row_for_each_method_and_part(comparison):
    table = {(row.method, row.part): row for row in comparison.rows}
    assert len(table) == len(comparison.rows) == 7 * 3
    assert table["single:a", "all"].value == 30 / 40
    assert table["single:a", "left"].value == 1
    assert table["single:a", "right"].value == 0.5
    assert table["single:a", "right"].low < 0.5 < table["single:a", "right"].high
    assert all(row.seed == 3 and row.split == "test" for row in comparison.rows)


def test_a_pool_knows_its_mean_its_best_and_its_ensemble(comparison):
    overall = {row.method: row for row in comparison.overall()}
    assert overall["single-mean"].value == 25 / 40
    assert overall["single-best"].value == 20 / 40  # best on selection, not on this split
    assert overall["logits-ensemble"].forwards == 2
    assert {row.forwards for name, row in overall.items() if name != "logits-ensemble"} == {1}


def test_kinds_stand_together(comparison):
    kinds = [row.kind for row in comparison.overall()]
    assert kinds == ["single"] * 4 + ["merge", "ensemble", "control"]


def test_values_agree_with_the_metric(comparison):
    overall = {row.method: row.value for row in comparison.overall()}
    assert overall["soup"] == accuracy(guesses(36))


def test_csv_and_json_hold_every_column(comparison):
    rows = list(csv.DictReader(io.StringIO(comparison.to_csv())))
    assert len(rows) == len(comparison.rows)
    wanted = [
        "n",
        "subset",
        "seed",
        "method",
        "split",
        "metric",
        "value",
        "low",
        "high",
        "forwards",
    ]
    assert set(wanted) <= rows[0].keys()
    assert float(rows[0]["value"]) == comparison.rows[0].value
    whole = json.loads(json.dumps(comparison.as_dict()))
    assert whole["conclusion"] == "so"
    assert whole["differences"][0]["interval"]["value"] == pytest.approx(32 / 40)


def test_a_mean_over_networks_needs_no_network():
    mean = mean_contender("m", "single", [guesses(40), guesses(0)])
    assert mean.correct.unique().tolist() == [0.5]
    assert (mean.n, mean.forwards) == (2, 1)


def test_differences_are_between_the_same_samples():
    half = Predictions(torch.zeros(20, 4), LABELS[:20], torch.arange(20))
    one, other = (contender("x", "single", seen, n=1) for seen in (guesses(40), half))
    with pytest.raises(StockpotError, match="different samples"):
        one.minus(other)


def test_choose_takes_the_first_best_and_keeps_every_score():
    asked = []

    def score(candidate):
        asked.append(candidate)
        return {1: 0.2, 2: 0.9, 3: 0.9}[candidate]

    choice = choose([1, 2, 3], score)
    assert (choice.value, choice.score) == (2, 0.9)
    assert choice.tried == ((1, 0.2), (2, 0.9), (3, 0.9))
    assert asked == [1, 2, 3]


def test_there_must_be_something_to_choose_from():
    with pytest.raises(StockpotError, match="nothing to choose"):
        choose([], lambda _: 0.0)
