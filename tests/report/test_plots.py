"""Each figure shows the numbers of its rows, on the caller's axes or its own."""

import sys
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.figure import Figure

from stockpot.errors import ExtraError, StockpotError
from stockpot.evaluation.results.intervals import Difference, Interval
from stockpot.pages.axes import spread
from stockpot.pages.styles import styles
from stockpot.report import (
    only,
    plot_comparison,
    plot_confusion,
    plot_cost,
    plot_data_sets,
    plot_decisions,
    plot_gap,
    plot_networks,
    plot_part_gaps,
    plot_parts,
    plot_quality,
)
from stockpot.report.confusions import MOST, mistakes, shown_classes
from stockpot.report.curves import gaps, trial_gaps
from stockpot.report.decisions import greedy_runs
from stockpot.report.metric_rows import Cell, metric_rows

from .making import comparison, confusion, decisions, many_methods, row, sweep, whole

ONE_AXES = (plot_comparison, plot_confusion, plot_cost, plot_gap, plot_quality)
NONE = Cell("", "")


def points(ax):
    """Every (x, y) that a line or marker stands on."""
    return [tuple(point) for line in ax.lines for point in line.get_xydata().round(6)]


def texts(ax):
    return [text.get_text() for text in ax.texts]


@pytest.mark.parametrize("plot", ONE_AXES)
def test_it_draws_on_the_callers_axes_or_on_its_own(plot):
    axes = Figure().subplots()
    result = whole()
    assert plot(result, axes) is axes
    assert axes.get_title(loc="left")
    assert plot(result) is not axes


def test_quality_has_every_value_at_its_count():
    result = comparison(
        [
            row(n=2, value=0.5),
            row(n=5, value=0.75),
            row("logits-ensemble", 0.9, n=5, kind="ensemble"),
        ]
    )
    ax = plot_quality(result, Figure().subplots())
    heights = {round(y, 3) for _, y in points(ax)}
    assert {50, 75, 90, 48, 52, 73, 77} <= heights
    assert [tick.get_text() for tick in ax.get_xticklabels()] == ["2", "5"]
    assert {"uniform-soup", "logits-ensemble"} <= set(texts(ax))


def test_quality_puts_merges_left_and_ensembles_right_on_one_scale():
    figure = plot_quality(many_methods()).figure
    left, right = figure.axes
    assert "ties" in texts(left)
    assert "logits-ensemble" not in texts(left)
    assert "caruana-logits-ensemble" in texts(right)
    assert "ties" not in texts(right)
    assert {"single-mean"} <= set(texts(left)) & set(texts(right))
    assert left.get_ylim() == right.get_ylim()


def test_a_soup_that_fails_does_not_flatten_the_ensembles():
    rows = [
        one
        for n, soup in ((2, 0.5), (3, 0.1))
        for one in (
            row("uniform-soup", soup, n=n),
            row("logits-ensemble", 0.9 + n / 100, n=n, kind="ensemble"),
        )
    ]
    left, right = plot_quality(comparison(rows)).figure.axes
    assert left.get_ylim()[0] < 10
    assert right.get_ylim()[0] > 85
    assert right.get_title(loc="left") == "every member runs, scale of its own"


def test_a_sweep_needs_axes_of_its_own():
    axes = Figure().subplots()
    for plot in (plot_quality, plot_cost, plot_gap):
        with pytest.raises(StockpotError, match=r"has 8: resnet-8 on fashion-mnist, .* only\("):
            plot(sweep(), axes)
    with pytest.raises(StockpotError, match=r"holds one data; this comparison has 2"):
        plot_networks(sweep(), axes)
    with pytest.raises(StockpotError, match="holds one greedy soup; this comparison has 8"):
        plot_decisions(sweep(), axes)
    assert plot_networks(only(sweep(), data="emoji"), axes) is axes


def test_a_sweep_has_a_panel_for_each_network_and_data_set():
    result = sweep()
    assert len(plot_quality(result).figure.axes) == 16
    assert len(plot_cost(result).figure.axes) == 8
    by_network, by_data = plot_networks(result).figure.axes, plot_data_sets(result).figure.axes
    assert [ax.get_title(loc="left") for ax in by_network] == ["fashion-mnist", "emoji"]
    assert len(by_data) == 4
    names = [tick.get_text() for tick in by_network[0].get_yticklabels()]
    assert names == ["resnet-8", "resnet-14", "resnet-20", "vit-tiny"]


def test_long_names_that_differ_at_the_end_stay_apart():
    nets = [f"{'a-very-long-path/' * 5}checkpoint-{i}" for i in (1, 2, 3)]
    result = comparison([row(n=n, network=net) for n in (2, 3) for net in nets])
    ticks = [one.get_text() for one in plot_networks(result).get_yticklabels()]
    titles = [ax.get_title(loc="left") for ax in plot_quality(result).figure.axes]
    for names in (ticks, titles):
        assert len(set(names)) == 3
        assert all(str(i) in name for i, name in enumerate(names, start=1))
    assert max(map(len, ticks)) <= 26


def test_methods_that_differ_in_one_field_stay_apart():
    names = [f"TaskArithmetic(scale=0.{i}, and='more words than fit')" for i in (1, 2)]
    rows = [row(name, n=n, kind="merge") for n in (2, 3) for name in (*names, "uniform-soup")]
    found = [text for text in texts(plot_quality(comparison(rows))) if "0." in text]
    assert len(set(found)) == 2


def test_by_network_shows_the_largest_count():
    rows = [row(n=n, value=0.1 * n, network=net) for n in (2, 5) for net in ("a", "b")]
    ax = plot_networks(comparison(rows))
    widths = {round(x, 3) for x, _ in points(ax)}
    assert {48, 50, 52} <= widths
    assert 20 not in widths


def test_the_gap_is_ensemble_minus_soup():
    rows = [
        row("logits-ensemble", 0.9, kind="ensemble"),
        row("uniform-soup", 0.7),
        row("greedy-soup", 0.85),
        row("greedy-soup", 0.85, n=3),
        row("ties", 0.2),
    ]
    found = gaps(metric_rows(comparison(rows)))
    assert {key[1]: value for key, value in found.items()} == {
        "uniform-soup": [(2, pytest.approx(0.2))],
        "greedy-soup": [(2, pytest.approx(0.05))],
    }
    heights = {round(y, 3) for _, y in points(plot_gap(comparison(rows)))}
    assert {20, 5, 0} <= heights


def test_the_gap_of_each_trial_is_paired_within_the_trial():
    rows = [
        row(method, value + seed / 10, seed=seed)
        for seed in (0, 1)
        for method, value in {"logits-ensemble": 0.6, "uniform-soup": 0.5}.items()
    ]
    means = [row("logits-ensemble", 0.65), row("uniform-soup", 0.55)]
    found = trial_gaps(comparison([*rows, *means]))
    assert found[NONE, "uniform-soup"] == [(2, pytest.approx(0.1)), (2, pytest.approx(0.1))]


def test_without_an_ensemble_there_is_no_gap():
    with pytest.raises(StockpotError, match="no logits-ensemble beside a soup"):
        plot_gap(comparison([row()]))


def test_cost_is_in_multiply_adds_where_all_are_known_and_in_evaluations_otherwise():
    result = whole()
    assert "multiply-adds" in plot_cost(result).get_xlabel()
    ax = plot_cost(whole(costs=result.costs[1:]))
    assert "network evaluations" in ax.get_xlabel()
    assert ax.get_xscale() == "log"
    assert [tick.get_text() for tick in ax.get_xticklabels()] == ["1", "2", "3", "5", "7", "10"]


def test_greedy_runs_are_those_of_the_largest_count():
    steps = [*decisions(seeds=(0, 1), count=4), *decisions(seeds=(0,), count=6)]
    runs = greedy_runs(comparison([row()], decisions=tuple(steps)))
    assert [len(runs[NONE, seed]) for seed in (0, 1)] == [6, 4]
    assert [one.step for one in runs[NONE, 0]] == list(range(6))


def test_decisions_name_each_candidate_and_whether_it_stayed():
    steps = decisions(seeds=(0,), count=5)
    ax = plot_decisions(comparison([row()], decisions=steps), Figure().subplots())
    names = [tick.get_text() for tick in ax.get_yticklabels()]
    assert names == [f"{one.candidate}  {'+' if one.accepted else '–'}" for one in steps]
    assert {round(100 * one.score, 4) for one in steps} <= {round(x, 4) for x, _ in points(ax)}


def test_confusion_shows_every_count():
    matrix = confusion(("a", "b", "c"))
    ax = plot_confusion(comparison([row()], confusion=matrix))
    expected = [str(count) for line in matrix.counts for count in line if count]
    assert texts(ax) == expected
    assert len(ax.patches) == len(expected)


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
    ax = plot_parts(result, Figure().subplots())
    assert [one.get_text() for one in ax.get_yticklabels()] == ["whole test split", "twitter"]
    dots = [line.get_xydata().round(6).tolist() for line in ax.lines if len(line.get_xdata()) == 1]
    assert sorted(round(x, 3) for ((x, _y),) in dots) == [45, 50, 75, 80]  # ties is no main method
    assert all((y < 0.5) == (x > 60) for ((x, y),) in dots)
    ax = plot_part_gaps(result, Figure().subplots())
    dots = [line.get_xydata().round(6).tolist() for line in ax.lines if len(line.get_xdata()) == 1]
    assert sorted(round(x, 3) for ((x, _y),) in dots) == [2, 5]
    sweeping = comparison([*rows, *(replace(one, network="other") for one in rows)])
    assert len(plot_parts(sweeping).figure.axes) == 2
    with pytest.raises(StockpotError, match="one panel of quality by part"):
        plot_parts(sweeping, Figure().subplots())


def test_a_method_looks_the_same_in_every_figure_and_unlike_its_family():
    result = many_methods()
    found = styles(result)
    assert found["uniform-soup"].colour == styles(comparison([row()]))["uniform-soup"].colour
    looks = {(one.colour, one.marker, str(one.dash), one.hollow) for one in found.values()}
    assert len(looks) == len(found)


def test_parts_that_are_missing_are_said():
    for plot in (plot_decisions, plot_confusion, plot_parts, plot_part_gaps):
        with pytest.raises(StockpotError, match="the comparison has no"):
            plot(comparison([row()]))
    nowhere = comparison([row(value=float("nan"))])
    for plot in (plot_quality, plot_cost, plot_networks):
        with pytest.raises(StockpotError, match="finite"):
            plot(nowhere)


def test_without_matplotlib_the_message_names_the_install_line(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    for plot in ONE_AXES:
        with pytest.raises(ExtraError, match=r"pip install 'stockpot\[lab\]'"):
            plot(whole())


@given(st.lists(st.floats(0, 1), max_size=12), st.floats(0.001, 0.08))
def test_labels_are_spread_apart_in_order_and_inside(places, gap):
    moved = spread(places, gap)
    order = sorted(range(len(places)), key=lambda i: (places[i], i))
    steps = [moved[b] - moved[a] for a, b in pairwise(order)]
    assert all(step >= gap - 1e-9 for step in steps)
    assert all(-1e-9 <= one <= 1 + 1e-9 for one in moved)
    if all(places[b] - places[a] >= gap for a, b in pairwise(order)):
        assert moved == pytest.approx(places)
