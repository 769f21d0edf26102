"""The page of the study of connectivity."""

import math
from collections.abc import Sequence
from typing import get_args

from ...evaluation.results.intervals import Interval
from ...pages.drawing import Planned, draw_all
from ...pages.page import Page, Section
from ...pages.tables import Column, Table, count, interval, table, words
from .figures import plot_barriers, plot_paths, plot_plane
from .result import ALL, Barrier, ConnectivityResult, Way

WAYS: tuple[Way, ...] = get_args(Way)
_MOST = 6
"""Barriers that a caption names."""


def _hills(result: ConnectivityResult) -> str:
    rows = [row for way in WAYS for row in result.over_pools(way)]
    said = [f"{row.barrier:.3f} nats ({_words(row, rows)})" for row in rows[:_MOST]]
    return f"On the test split the mean barrier is {', '.join(said)}."


def _pairs(result: ConnectivityResult) -> str:
    rows = [
        row for row in result.barriers if (row.split, row.way, row.pool) == ("test", "line", ALL)
    ]
    rows = [row for row in rows if row.pair != ALL] or rows
    least, most = (pick(rows, key=lambda row: row.barrier) for pick in (min, max))
    return (
        f"On the straight line the lowest mean barrier is {least.barrier:.3f} nats, of "
        f"{_named(least)}; the highest is {most.barrier:.3f} nats, of {_named(most)}."
    )


def _named(row: Barrier) -> str:
    pair = "all pairs" if row.pair == ALL else row.pair
    return f"{row.cell}: {pair}" if row.cell else pair


def _words(row: Barrier, rows: Sequence[Barrier]) -> str:
    """What tells a row from the others."""
    both = len({one.statistics for one in rows}) > 1
    return ", ".join(filter(None, (row.cell, row.way, row.statistics if both else "")))


def _lowest(result: ConnectivityResult) -> str:
    plane = next(one for one in result.planes if one.split == "test")
    u, v = plane.best
    return (
        f"The lowest test loss of the plane is at {1 - u - v:.2f}, {u:.2f} and {v:.2f} of "
        f"{', '.join(plane.models)}."
    )


_FIGURES: tuple[Planned, ...] = (
    (
        "paths",
        "Loss and accuracy on the way",
        plot_paths,
        _hills,
        "Thin lines are single paths, thick ones their mean. A hill between the ends is the "
        "barrier; a flat line says that the two networks lie in one basin and can be averaged.",
    ),
    (
        "barriers",
        "The barrier of each pair",
        plot_barriers,
        _pairs,
        "Small dots are pools, the square their mean, the bar its 95% interval over pools. A "
        "barrier is the largest rise above the ends, and never below 0.",
    ),
    (
        "plane",
        "The plane through three networks",
        plot_plane,
        _lowest,
        "A, B and C lie as far from each other as their weights do. Where one valley holds all "
        "three, their average lies in it.",
    ),
)


def page(result: ConnectivityResult) -> Page:
    """What the page says: what was found, tables, figures."""
    rows = result.barriers
    overall = [one for one in rows if one.pool == ALL]
    single = [one for one in rows if one.pool != ALL]
    return Page(
        title=result.title,
        sentences=result.sentences,
        sections=(
            Section(
                "results",
                "Results",
                (_table("Barriers", "Means over pools, with the 95% interval.", overall),),
                (_table("Every path", "Pool by pool.", single),),
            ),
        ),
        drawings=draw_all(result, (one for one in _FIGURES if one[0] != "plane" or result.planes)),
        facts=result.facts,
        measured=(
            "The barrier is the largest of L(a) - ((1 - a) L(0) + a L(1)) along the path, in nats, "
            "the ends among its places, so it is at least 0. The drop is the mean accuracy of the "
            "ends less that at a = 0.5, in points.",
            "Statistics are of batch norm: interpolated like the weights, or estimated again on "
            "training samples at every place, the ends among them.",
            "Curves were fitted to the training split; their loss there is the most that they "
            "promise, and the test split is what they are judged by.",
        ),
    )


def _table(title: str, caption: str, rows: Sequence[Barrier]) -> Table:
    cells = any(one.cell for one in rows)
    names: tuple[Column[Barrier], ...] = (
        *((words("cell", lambda one: one.cell),) if cells else ()),
        words("pair", lambda one: one.pair),
        words("pool", lambda one: one.pool),
        words("way", lambda one: one.way),
        words("statistics", lambda one: one.statistics),
        words("split", lambda one: one.split),
    )
    return table(
        title,
        caption,
        rows,
        *names,
        interval("barrier, nats", _barrier, 3),
        interval("drop, points", _drop, 1),
        interval("accuracy of the ends, %", lambda one: _alone(100 * one.accuracy), 1),
        interval("loss of the ends", lambda one: _alone(one.loss), 3),
        count("paths", lambda one: one.paths),
        names=len(names),
    )


def _barrier(one: Barrier) -> Interval:
    return Interval(one.barrier, one.barrier_low, one.barrier_high)


def _drop(one: Barrier) -> Interval:
    return Interval(100 * one.drop, 100 * one.drop_low, 100 * one.drop_high)


def _alone(value: float) -> Interval:
    return Interval(value, math.nan, math.nan)
