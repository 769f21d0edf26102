"""Figures of the study of interference, as values."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from ...pages.figures import Axis, Cell, Heat, Lines, Series
from ...pages.styles import BLUE, VERMILION, Style
from .result import ALL, Centre, InterferenceResult, Point
from .rowspaces import PLACES

STYLES: Mapping[Centre, Style] = {"average": Style(BLUE, "o"), "base": Style(VERMILION, "s")}
MOST_TASKS = 20
"""Tasks that a matrix of pairs shows."""


def interference(result: InterferenceResult) -> Lines:
    """I(k) against the rank: the mean over matrices, and the middle 80% of them as a band."""
    return _over_ranks(result, lambda point: point.interference, "interference I(k)")


def residual(result: InterferenceResult) -> Lines:
    """R(k) over the task vectors' squared norm, against the rank."""
    words = "left out, % of the squared norm"
    return _over_ranks(result, lambda point: 100 * point.relative, words)


def overlap(result: InterferenceResult) -> Heat:
    """How much of their row spaces two tasks share, each pair, at the rank nearest 8%.

    Above the diagonal around the average; below it, in orange, around the base, where there is one.
    """
    rank, tasks = result.near(0.08), result.tasks[:MOST_TASKS]
    cells: list[Cell] = []
    for pair in result.pairs:
        if pair.rank != rank or pair.one not in tasks or pair.other not in tasks:
            continue
        low, high = sorted((tasks.index(pair.one), tasks.index(pair.other)))
        average = pair.centre == "average"
        row, column = (low, high) if average else (high, low)
        words = f"{100 * pair.overlap:.0f}"
        cells.append(Cell(row, column, -pair.overlap if average else pair.overlap, words))
    x = f"overlap of row spaces, %, at rank {_percent(rank)}"
    return Heat(cells=tuple(cells), rows=tasks, columns=tasks, limit=1, x=x, scale="root")


def spectra(result: InterferenceResult) -> Lines:
    """Singular values over the largest, against their place: mean and middle 80%."""
    drawn: list[Series] = []
    for centre in result.centres:
        rows = [one.values for one in result.spectra if one.centre == centre and one.norm > 0]
        if rows:
            drawn.append(_band(centre, [100 * place for place in PLACES], np.asarray(rows).T))
    return Lines(
        series=tuple(drawn),
        x=Axis("place in the spectrum, % of the full rank"),
        y=Axis("singular value over the largest", limits=(0, None)),
    )


def _over_ranks(result: InterferenceResult, value: Callable[[Point], float], words: str) -> Lines:
    drawn: list[Series] = []
    for centre in result.centres:
        rows = [
            [
                value(point)
                for point in result.points
                if (point.centre, point.rank) == (centre, rank) and point.tensor != ALL
            ]
            for rank in result.ranks
        ]
        means = [value(point) for point in result.overall(centre)]
        drawn.append(_band(centre, result.ranks, np.asarray(rows), means))
    names = tuple(_percent(rank) for rank in result.ranks)
    return Lines(
        series=tuple(drawn),
        x=Axis("rank k, of the full rank", "log", names=names, ticks=result.ranks),
        y=Axis(words, limits=(0, None)),
    )


def _band(
    centre: Centre, places: Sequence[float], values: Any, means: Sequence[float] | None = None
) -> Series:
    """A line of means, and 10% to 90% of the values [places, ...] around it."""
    middle = values.mean(axis=1) if means is None else means
    low, high = np.quantile(values, [0.1, 0.9], axis=1)
    return Series(
        name=f"around the {centre}", x=tuple(places), value=tuple(middle), low=tuple(low),
        high=tuple(high), style=STYLES[centre],
    )  # fmt: skip


def _percent(rank: float) -> str:
    return f"{100 * rank:.3g}%"
