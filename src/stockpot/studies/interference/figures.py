"""Figures of the study of interference; a plot takes a result and an Axes, never a model."""

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from ...libraries import optional
from ...pages.axes import SMALL, dress, panels
from ...pages.styles import BLUE, PAPER, VERMILION
from ...pages.units import plain, short
from .result import ALL, Centre, InterferenceResult, Point
from .rowspaces import PLACES

COLOURS: Mapping[Centre, str] = {"average": BLUE, "base": VERMILION}
_MARKERS: Mapping[Centre, str] = {"average": "o", "base": "s"}
_DARKEST = 0.65
MOST_TASKS = 20
"""Tasks that a matrix of pairs shows."""


def plot_interference(result: InterferenceResult, ax: Any = None) -> Any:
    """I(k) against the rank: the mean over matrices, and the middle 80% of them as a band."""
    question = "How much do task vectors interfere?"
    return _over_ranks(result, ax, lambda point: point.interference, question, "interference I(k)")


def plot_residual(result: InterferenceResult, ax: Any = None) -> Any:
    """R(k) over the task vectors' squared norm, against the rank, as `plot_interference`."""
    question = "What does low rank leave out?"
    words = "left out, % of the squared norm"
    return _over_ranks(result, ax, lambda point: 100 * point.relative, question, words)


def plot_overlap(result: InterferenceResult, ax: Any = None) -> Any:
    """How much of their row spaces two tasks share, each pair, at the rank nearest 8%.

    Above the diagonal around the average; below it around the base, where there is one.
    Of more than 20 tasks the first are shown.
    """
    rank, tasks = result.near(0.08), result.tasks[:MOST_TASKS]
    side = max(3.2, 0.42 * len(tasks) + 1.8)
    question = f"Which tasks share directions? Rank {_percent(rank)}"
    (ax,) = panels(ax, 1, columns=1, size=(side + 1.0, side), question=question)
    rectangle = optional("matplotlib.patches").Rectangle
    for pair in result.pairs:
        if pair.rank != rank or pair.one not in tasks or pair.other not in tasks:
            continue
        low, high = sorted((tasks.index(pair.one), tasks.index(pair.other)))
        across, down = (high, low) if pair.centre == "average" else (low, high)
        patch = rectangle(
            (across - 0.5, down - 0.5),
            1,
            1,
            color=COLOURS[pair.centre],
            alpha=_DARKEST * math.sqrt(min(max(pair.overlap, 0.0), 1.0)),
        )
        patch.set_linewidth(0)
        ax.add_patch(patch)
        number = f"{100 * pair.overlap:.0f}"
        ax.text(across, down, number, ha="center", va="center", fontsize=SMALL)
    dress(ax, x="overlap of row spaces, %", grid="y")
    ax.grid(visible=False)
    names = [plain(name) for name in short(list(tasks), 18)]
    ax.set_yticks(range(len(tasks)), names)
    ax.set_xticks(range(len(tasks)), names, rotation=90)
    ax.set_xlim(-0.5, len(tasks) - 0.5)
    ax.set_ylim(len(tasks) - 0.5, -0.5)
    ax.set_aspect("equal")
    ax.spines[:].set_visible(False)
    ax.tick_params(length=0)
    return ax


def plot_spectra(result: InterferenceResult, ax: Any = None) -> Any:
    """Singular values over the largest, against their place: the mean over matrices and tasks.

    The band is the middle 80% of matrices and tasks.
    """
    question = "How fast do singular values fall?"
    (ax,) = panels(ax, 1, columns=1, size=(6.0, 3.4), question=question)
    for centre in result.centres:
        rows = [one.values for one in result.spectra if one.centre == centre and one.norm > 0]
        if rows:
            _band(ax, centre, [100 * place for place in PLACES], np.asarray(rows).T)
    dress(ax, x="place in the spectrum, % of the full rank", y="singular value over the largest")
    ax.set_ylim(bottom=0)
    _legend(ax, result)
    return ax


def _over_ranks(
    result: InterferenceResult,
    ax: Any,
    value: Callable[[Point], float],
    question: str,
    words: str,
) -> Any:
    (ax,) = panels(ax, 1, columns=1, size=(6.0, 3.4), question=question)
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
        _band(ax, centre, list(result.ranks), np.asarray(rows), means)
    ax.set_xscale("log")
    ax.set_xticks(result.ranks, [_percent(rank) for rank in result.ranks])
    ax.minorticks_off()
    dress(ax, x="rank k, of the full rank", y=words)
    ax.set_ylim(bottom=0)
    _legend(ax, result)
    return ax


def _band(
    ax: Any, centre: Centre, places: list[float], values: Any, means: list[float] | None = None
) -> None:
    """A line of means, and 10% to 90% of the values [places, ...] around it."""
    colour = COLOURS[centre]
    middle = list(values.mean(axis=1)) if means is None else means
    low, high = np.quantile(values, [0.1, 0.9], axis=1)
    ax.fill_between(places, low, high, color=colour, alpha=0.18, linewidth=0)
    marks = {"marker": _MARKERS[centre], "markersize": 4, "markerfacecolor": colour}
    few = len(places) <= 12
    ax.plot(places, middle, color=colour, linewidth=1.4, **(marks if few else {}))


def _legend(ax: Any, result: InterferenceResult) -> None:
    line = optional("matplotlib.lines").Line2D
    handles = [
        line([], [], color=COLOURS[c], marker=_MARKERS[c], markersize=4, markeredgecolor=PAPER)
        for c in result.centres
    ]
    names = [f"around the {centre}" for centre in result.centres]
    ax.legend(handles, names, fontsize=SMALL, frameon=False)


def _percent(rank: float) -> str:
    return f"{100 * rank:.3g}%"
