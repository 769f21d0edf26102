"""Figures of a comparison as values: each shows the numbers of its rows."""

import pytest

from stockpot.evaluation.results.intervals import Difference, Interval
from stockpot.pages.styles import styles
from stockpot.report import figures
from stockpot.report.confusions import MOST, mistakes, shown_classes
from stockpot.report.decisions import greedy_runs
from stockpot.report.metric_rows import Cell, metric_rows
from stockpot.report.quality import gaps, trial_gaps

from .making import comparison, confusion, decisions, many_methods, row, sweep, whole

NONE = Cell("", "")


def panels(name, result):
    return next(one for one in figures(result) if one.name == name).panels


def values(panel):
    return {one.name: tuple(round(v, 3) for v in one.value) for one in panel.series}


def test_every_contender_at_a_glance_best_on_top_of_its_kind():
    rows = [
        row("one", 0.5, kind="single"),
        row("two", 0.6, kind="single"),
        row("two", 0.9, kind="single", part="plain"),
        row("soup", 0.7),
        row("all of them", 0.8, kind="ensemble", forwards=6),
        row("bad", 0.1, kind="control"),
    ]
    (panel,) = panels("contenders", comparison(rows))
    assert set(panel.names) == {"one", "two", "soup", "all of them", "bad"}
    assert panel.names.index("two") < panel.names.index("one")
    labels = [words for one in panel.series for words in one.labels]
    assert "80.0, 6 evaluations" in labels
    assert "90.0" not in labels


def test_quality_has_every_value_at_its_count():
    rows = [
        row(n=2, value=0.5),
        row(n=5, value=0.75),
        row("logits-ensemble", 0.9, n=5, kind="ensemble"),
    ]
    left, right = panels("quality", comparison(rows))
    assert values(left) == {"uniform-soup": (50, 75)}
    assert values(right) == {"logits-ensemble": (90,)}
    assert left.series[0].low == pytest.approx((48, 73))
    assert left.x.names == ("2", "5")


def test_of_more_than_seven_methods_each_has_a_panel_before_the_others():
    shown = panels("quality", many_methods())
    titles = [one.title for one in shown]
    assert any(title.startswith("ties: ") for title in titles)
    assert len(set(titles)) == len(titles)
    for one in shown:
        *quiet, seen = one.series
        assert seen.style.colour != quiet[0].style.colour or len(quiet) == 0 or seen.low
        assert all(not other.low for other in quiet)
    assert len({one.y.limits for one in shown}) <= 2


def test_a_soup_that_fails_does_not_flatten_the_ensembles():
    rows = [
        one
        for n, soup in ((2, 0.5), (3, 0.1))
        for one in (
            row("uniform-soup", soup, n=n),
            row("logits-ensemble", 0.9 + n / 100, n=n, kind="ensemble"),
        )
    ]
    left, right = panels("quality", comparison(rows))
    assert left.y.limits[0] < 10
    assert right.y.limits[0] > 85
    assert right.title == "every member runs, scale of its own"


def test_a_sweep_has_a_panel_for_each_network_and_data_set():
    result = sweep()
    assert len(panels("cost", result)) == 8
    names = {name for one in panels("networks", result) for name in (one.title.split(": ")[-1],)}
    assert {"resnet-8", "resnet-14", "resnet-20", "vit-tiny"} <= names


def test_by_network_shows_the_largest_count():
    rows = [row(n=n, value=0.1 * n, network=net) for n in (2, 5) for net in ("a", "b")]
    (panel,) = panels("networks", comparison(rows))
    assert values(panel) == {"uniform-soup": (50, 50)}
    assert panel.names == ("a", "b")


def test_the_gap_is_ensemble_minus_soup():
    rows = [
        row("logits-ensemble", 0.9, kind="ensemble"),
        row("uniform-soup", 0.7),
        row("greedy-soup", 0.85),
        row("greedy-soup", 0.85, n=3),
        row("ties", 0.2),
    ]
    result = comparison(rows)
    assert {key[1]: value for key, value in gaps(metric_rows(result)).items()} == {
        "uniform-soup": [(2, pytest.approx(0.2))],
        "greedy-soup": [(2, pytest.approx(0.05))],
    }
    (panel,) = panels("gap", result)
    assert values(panel) | {"": ()} == {"": (), "uniform-soup": (20,), "greedy-soup": (5,)}
    assert "gap" not in {one.name for one in figures(comparison([row()]))}


def test_the_gap_of_each_trial_is_paired_within_the_trial():
    rows = [
        row(method, value + seed / 10, seed=seed)
        for seed in (0, 1)
        for method, value in {"logits-ensemble": 0.6, "uniform-soup": 0.5}.items()
    ]
    means = [row("logits-ensemble", 0.65), row("uniform-soup", 0.55)]
    found = trial_gaps(comparison([*rows, *means]))
    assert found[NONE, "uniform-soup"] == [(2, pytest.approx(0.1)), (2, pytest.approx(0.1))]


def test_cost_is_in_multiply_adds_where_all_are_known_and_in_evaluations_otherwise():
    result = whole()
    (panel,) = panels("cost", result)
    assert "multiply-adds" in panel.x.label
    named = {words for one in panel.series for words in one.labels if words}
    assert 1 <= len(named) < sum(len(one.x) for one in panel.series)
    (panel,) = panels("cost", whole(costs=result.costs[1:]))
    assert "network evaluations" in panel.x.label
    assert panel.x.scale == "log"
    assert panel.x.names == ("1", "2", "3", "5", "7", "10")


def test_greedy_runs_are_those_of_the_largest_count():
    steps = [*decisions(seeds=(0, 1), count=4), *decisions(seeds=(0,), count=6)]
    result = comparison([row()], decisions=tuple(steps))
    runs = greedy_runs(result)
    assert [len(runs[NONE, seed]) for seed in (0, 1)] == [6, 4]
    assert [one.step for one in runs[NONE, 0]] == list(range(6))
    first, second = panels("decisions", result)
    assert (len(first.names), len(second.names)) == (6, 4)
    taken = next(one for one in first.series if one.name == "accepted")
    assert [first.names[int(x)][-1] for x in taken.x] == ["+"] * len(taken.x)


def test_of_many_classes_the_worst_are_shown():
    matrix = confusion([str(i) for i in range(MOST + 5)])
    shown = shown_classes(matrix)
    wrong = [
        sum(matrix.counts[i]) + sum(line[i] for line in matrix.counts) - 2 * matrix.counts[i][i]
        for i in range(MOST + 5)
    ]
    assert len(shown) == MOST
    assert shown == sorted(shown)
    assert min(wrong[i] for i in shown) >= max(wrong[i] for i in range(MOST + 5) if i not in shown)
    first = mistakes(matrix)[0]
    assert first[2] == max(
        count for i, line in enumerate(matrix.counts) for j, count in enumerate(line) if i != j
    )
    small = confusion(("a", "b", "c"))
    (panel,) = panels("confusion", comparison([row()], confusion=small))
    counts = {
        (i, j): str(n) for i, line in enumerate(small.counts) for j, n in enumerate(line) if n
    }
    assert {(one.row, one.column): one.words for one in panel.cells} == counts
    assert all((one.value < 0) == (one.row == one.column) for one in panel.cells)


def test_parts_are_bands_with_the_whole_split_first():
    rows = [
        row(method, value - drop, part=part, n=n)
        for method, value in (("uniform-soup", 0.8), ("single-best", 0.75), ("ties", 0.7))
        for part, drop in (("all", 0), ("twitter", 0.3))
        for n in (2, 5)
    ]
    pairs = [
        Difference(
            "logits-ensemble", "uniform-soup", Interval(gap, gap - 0.01, gap + 0.01), n, part
        )
        for part, gap in (("all", 0.02), ("twitter", 0.05))
        for n in (2, 5)
    ]
    result = comparison([row("logits-ensemble", kind="ensemble"), *rows], differences=pairs)
    (panel,) = panels("parts", result)
    assert panel.names == ("whole test split", "twitter")
    assert values(panel) == {"uniform-soup": (80, 50), "single-best": (75, 45)}  # ties is no main
    (panel,) = panels("part-gaps", result)
    assert values(panel) == {"uniform-soup": (2, 5)}


def test_a_method_looks_the_same_in_every_figure_and_unlike_its_family():
    result = many_methods()
    found = styles(result)
    assert found["uniform-soup"].colour == styles(comparison([row()]))["uniform-soup"].colour
    looks = {(one.colour, one.marker, str(one.dash), one.hollow) for one in found.values()}
    assert len(looks) == len(found)


def test_where_nothing_is_finite_there_is_no_figure():
    assert figures(comparison([row(value=float("nan"))])) == ()
