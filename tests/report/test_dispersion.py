"""How far apart the tasks' best scales lie: from rows, in the table, in the figure."""

import math
from dataclasses import replace

import pytest

from stockpot.evaluation import dispersions
from stockpot.report import render_page
from stockpot.report.dispersion import dispersion_table

from .making import comparison, row
from .test_browser import FIGURES, OVERLAPS

SCALES = (0.1, 0.5, 1.0, 1.5)
SELECTION = {
    "plain": (0.6, 0.9, 0.8, 0.7),
    "dark": (0.5, 0.6, 0.7, 0.9),
    "turned": (0.2, 0.7, 0.7, 0.1),
}
TEST = {
    "plain": (0.5, 0.8, 0.7, 0.6),
    "dark": (0.4, 0.5, 0.6, 0.8),
    "turned": (0.1, 0.6, 0.6, 0.0),
}


def graded(name="ties density=0.2 scale={}", **changes):
    """Rows of one method along the grid, on both splits, of each task and their mean."""
    rows = []
    for split, values in (("selection", SELECTION), ("test", TEST)):
        for k, scale in enumerate(SCALES):
            each = {task: value[k] for task, value in values.items()}
            for data, value in (each | {"all-tasks": sum(each.values()) / 3}).items():
                rows.append(row(name.format(scale), value, split=split, data=data, n=3, **changes))
    return rows


def test_the_best_of_each_task_their_spread_and_what_they_are_worth_on_test():
    (found,) = dispersions(comparison(graded()))
    assert (found.method, found.n, found.grid) == ("ties density=0.2", 3, SCALES)
    assert found.common == 0.5  # means are 0.43, 0.73, 0.73, 0.57: of equal ones the first
    assert dict(found.best) == {"plain": 0.5, "dark": 1.5, "turned": 0.5}
    assert found.spread == pytest.approx(math.sqrt(2) / 3)
    assert found.gain == pytest.approx((0 + 0.3 + 0) / 3)
    assert dict(found.scores)["turned"] == SELECTION["turned"]


def test_where_smaller_is_better_the_smallest_is_best():
    (found,) = dispersions(comparison(graded(metric="nll")))
    assert dict(found.best) == {"plain": 0.1, "dark": 0.1, "turned": 1.5}
    assert found.common == 0.1
    assert found.gain == pytest.approx(0.1 / 3)


def test_other_methods_networks_and_short_grids_are_apart():
    rows = [
        *graded(),
        *graded("tsv-m scale={}", network="cnn"),
        *(one for one in graded("iso-c scale={}") if "1.0" in one.method or "0.5" in one.method),
        *graded("uniform-soup"),
        *(replace(one, kind="control") for one in graded("joint scale={}")),
    ]
    found = dispersions(comparison(rows))
    assert [(one.method, one.network) for one in found] == [
        ("ties density=0.2", ""),
        ("tsv-m", "cnn"),
    ]


def test_without_tasks_or_a_grid_there_is_nothing():
    rows = [row(f"ties scale={scale}", split=s) for scale in SCALES for s in ("selection", "test")]
    assert dispersions(comparison(rows)) == ()
    assert dispersion_table(comparison([row()])) is None


def test_the_table_and_the_figure_are_on_the_page(browser):
    result = comparison([*graded(), *graded("task-arithmetic scale={}")])
    table = dispersion_table(result)
    assert [one.text for one in table.cells[0]] == [
        "ties density=0.2", "0.5", "0.5", "1.5", "0.5", "0.47", "+10.0",
    ]  # fmt: skip
    page = render_page(result)
    assert "Best scale by task" in page
    figures, console = browser.ask(page, FIGURES)
    assert console == []
    assert "figure-scales" in [one[0] for one in figures]
    overlaps, _ = browser.ask(page, OVERLAPS)
    assert [one for one in overlaps if "figure-scales" in one] == []
