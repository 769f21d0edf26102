import pytest

from stockpot.errors import StockpotError
from stockpot.report.metric_rows import Cell, metric_rows, most_averaged, only

from .making import comparison, grid, row, sweep


def test_the_most_averaged_row_of_each_result_is_shown():
    each = [row(value=0.1 * seed, seed=seed, subset=-1) for seed in (1, 2)]
    finer = [row(value=0.9, seed=1, subset=subset) for subset in (0, 1)]
    mean = row(value=0.15)
    assert most_averaged([*each, *finer, mean]) == (mean,)
    assert most_averaged([*finer, *each]) == tuple(each)
    assert most_averaged(finer) == tuple(finer)


def test_pools_can_be_kept_apart():
    rows = [row(seed=-1), row(seed=0, subset=-1), row(seed=0, subset=1), row(seed=1, subset=0)]
    assert most_averaged(rows, apart=lambda one: one.seed) == (rows[0], rows[1], rows[3])


def test_the_main_metric_is_how_good_not_how_sure():
    rows = [row(metric="nll"), row(metric="f1", split="selection"), row(metric="f1")]
    seen = metric_rows(comparison(rows))
    assert (seen.metric, seen.split, seen.rows) == ("f1", "test", (rows[2],))
    assert metric_rows(comparison(rows[:1])).metric == "nll"
    assert metric_rows(comparison(rows[1:2])).split == "selection"


def test_without_a_row_there_is_nothing_to_show():
    with pytest.raises(StockpotError, match=r"'empty' has no row .* nothing to show"):
        metric_rows(comparison([row(part="left")], "empty"))


def test_what_is_not_finite_is_not_drawn():
    rows = [row(), row("ties", float("nan")), row("slerp", 0.5, high=float("nan"))]
    seen = metric_rows(comparison(rows))
    assert [one.method for one in seen.finite()] == ["uniform-soup", "slerp"]
    assert len(seen.contenders()) == 3


@pytest.mark.parametrize(
    ("rows", "grows"),
    [
        ([row(n=2), row(n=3)], True),
        ([row(n=2), row("ties", n=3)], False),
        ([row(n=2, seed=0), row(n=2, seed=1)], False),
        ([row(n=2, network="a"), row(n=3, network="b")], False),
        ([row("single:a", n=1), row("single:a", n=2)], False),
    ],
)
def test_it_grows_where_a_method_has_several_counts(rows, grows):
    assert metric_rows(comparison(rows)).grows() is grows


def test_a_sweep_can_be_narrowed():
    result = sweep()
    one = only(result, network="resnet-8", data="emoji")
    assert metric_rows(one).cells() == (Cell("resnet-8", "emoji"),)
    assert {(c.network, c.data) for c in (*one.costs, *one.decisions)} == {("resnet-8", "emoji")}
    assert one.verdict is None
    assert only(result).rows == result.rows
    assert len(metric_rows(only(result, data="emoji")).cells()) == 4


def test_splits_and_metrics_do_not_mix():
    seen = metric_rows(comparison(grid()), "ece", "selection")
    assert {(one.metric, one.split) for one in seen.rows} == {("ece", "selection")}
