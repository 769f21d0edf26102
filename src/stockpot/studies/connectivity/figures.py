"""Figures of the study of connectivity; a plot takes a result and an Axes, never a model."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ...errors import StockpotError
from ...evaluation.results.estimator import POSITIVE, over_seeds
from ...libraries import optional
from ...pages.axes import SMALL, dress, panels, reference
from ...pages.styles import BLUE, GREEN, INK, PAPER, VERMILION
from ...pages.units import plain, short
from .result import ALL, Barrier, ConnectivityResult, Plane, Statistics, Way, WeightPath

COLOURS: Mapping[Way, str] = {"line": BLUE, "bezier": VERMILION, "polygon": GREEN}
DASHES: Mapping[Statistics, Any] = {"interpolated": "solid", "re-estimated": (0, (4, 2))}
MOST_PAIRS = 30
"""Pairs that the figure of barriers shows."""


def plot_paths(result: ConnectivityResult, ax: Any = None) -> Any:
    """Test loss along the ways between networks: each path thin, their mean thick.

    In a figure of its own a second panel has the accuracy.
    """
    question = "What lies between two networks?"
    axes = panels(ax, 1 if ax is not None else 2, columns=2, size=(4.6, 3.4), question=question)
    mine = [one for one in result.paths if one.split == "test"]
    for one, (what, words) in zip(
        axes, (("loss", "test loss, nats"), ("accuracy", "test accuracy, %")), strict=False
    ):
        factor = 100.0 if what == "accuracy" else 1.0
        _lines(one, mine, what, factor)
        dress(one, x="a, from one network (0) to the other (1)", y=words)
    _legend(axes[0], mine)
    return axes[0]


def plot_barriers(result: ConnectivityResult, ax: Any = None) -> Any:
    """The test barrier of every pair: a dot for each pool, the mean and its interval over pools.

    Of more than 30 pairs the first are shown.
    """
    rows = [one for one in result.barriers if one.split == "test"]
    keys = list(dict.fromkeys((one.cell, one.pair) for one in rows if one.pool != ALL))[:MOST_PAIRS]
    ways = _ways(rows)
    height = max(1.8, 0.16 * len(keys) * (len(ways) + 1) + 1.0)
    question = "How high is the barrier of each pair?"
    (ax,) = panels(ax, 1, columns=1, size=(6.4, height), question=question)
    for band, key in enumerate(keys):
        for number, way in enumerate(ways):
            place = band + 0.8 * ((number + 0.5) / len(ways) - 0.5)
            same = [one for one in rows if (one.cell, one.pair) == key]
            _dots(ax, [one for one in same if (one.way, one.statistics) == way], place, way)
    names = [": ".join(filter(None, key)) for key in keys]
    ax.set_yticks(range(len(keys)), [plain(name) for name in short(names, 34)], fontsize=SMALL)
    ax.set_ylim(len(keys) - 0.5, -0.5)
    dress(ax, x="barrier on the test split, nats", grid="x")
    reference(ax, 0.0, "", flat=False)
    _legend(ax, [one for one in result.paths if one.split == "test"])
    return ax


def plot_plane(result: ConnectivityResult, ax: Any = None) -> Any:
    """Test loss on the first plane through three networks, by the distances of their weights.

    In a figure of its own a panel has the accuracy, and with batch norm two more have both with
    statistics estimated again. Loss is cut at its value at a guess beyond which nothing is told.

    Raises:
        StockpotError: without a plane.
    """
    planes = [one for one in result.planes if one.split == "test"]
    if not planes:
        raise StockpotError("the study has no plane: it takes pools of three networks or more.")
    same = [one for one in planes if (one.cell, one.pool) == (planes[0].cell, planes[0].pool)]
    wanted = [(one, what) for one in same for what in ("loss", "accuracy")]
    question = "What does the plane through three networks look like?"
    axes = panels(
        ax, 1 if ax is not None else len(wanted), columns=2, size=(4.4, 3.6), question=question
    )
    for one, (plane, what) in zip(axes, wanted, strict=False):
        _surface(one, plane, what)
        words = f"test {what}, " + ("nats" if what == "loss" else "%")
        title = f"{words}, statistics {plane.statistics}" if len(same) > 1 else words
        dress(one, title=title, x="distance of weights")
        one.grid(visible=False)
    return axes[0]


def _lines(ax: Any, paths: Sequence[WeightPath], what: str, factor: float) -> None:
    groups: dict[tuple[Way, Statistics], list[WeightPath]] = {}
    for one in paths:
        groups.setdefault((one.way, one.statistics), []).append(one)
    for (way, statistics), mine in groups.items():
        style = {"color": COLOURS[way], "linestyle": DASHES[statistics]}
        rows = factor * np.asarray([getattr(one, what) for one in mine])
        for row in rows[:60]:
            ax.plot(mine[0].at, row, linewidth=0.5, alpha=0.35, **style)
        ax.plot(mine[0].at, rows.mean(axis=0), linewidth=1.8, **style)


def _dots(ax: Any, rows: Sequence[Barrier], place: float, way: tuple[Way, Statistics]) -> None:
    colour, hollow = COLOURS[way[0]], way[1] == "re-estimated"
    face = PAPER if hollow else colour
    each = [one.barrier for one in rows if one.pool != ALL]
    if not each:
        return
    ax.plot(each, [place] * len(each), linestyle="none", marker="o", markersize=2, color=colour)
    over = over_seeds(each, POSITIVE)
    if math.isfinite(over.low):
        ax.plot([over.low, over.high], [place, place], color=colour, linewidth=1.3)
    ax.plot(
        [over.value], [place], marker="s", markersize=4.5, color=colour, markerfacecolor=face,
        linestyle="none",
    )  # fmt: skip


def _surface(ax: Any, plane: Plane, what: str) -> None:
    values = np.asarray(getattr(plane, what))
    if what == "accuracy":
        values = 100 * values
    else:
        ends = max(
            plane.loss[plane.places.index(v)][plane.places.index(u)]
            for u, v in ((0.0, 0.0), (1.0, 0.0), (0.0, 1.0))
        )
        values = np.minimum(values, max(4 * ends, ends + 2.5))
    _, (bx, by), (cx, cy) = plane.corners
    u, v = np.meshgrid(plane.places, plane.places)
    drawn = ax.contourf(u * bx + v * cx, u * by + v * cy, values, levels=12, cmap="viridis")
    ax.figure.colorbar(drawn, ax=ax).ax.tick_params(labelsize=SMALL)
    for number, (x, y) in enumerate(plane.corners):
        ax.plot([x], [y], marker="o", markersize=5, color=PAPER, markeredgecolor=INK)
        ax.annotate(
            plain("ABC"[number]), (x, y), xytext=(4, 4), textcoords="offset points", fontsize=SMALL,
            bbox={"facecolor": PAPER, "edgecolor": "none", "alpha": 0.75, "pad": 1.0},
        )  # fmt: skip
    ax.set_aspect("equal")


def _ways(rows: Sequence[WeightPath] | Sequence[Barrier]) -> list[tuple[Way, Statistics]]:
    seen: dict[tuple[Way, Statistics], None] = {}
    for one in rows:
        seen[one.way, one.statistics] = None
    return list(seen)


def _legend(ax: Any, paths: Sequence[WeightPath]) -> None:
    line = optional("matplotlib.lines").Line2D
    groups = _ways(paths)
    both = len({statistics for _, statistics in groups}) > 1
    handles = [line([], [], color=COLOURS[way], linestyle=DASHES[how]) for way, how in groups]
    names = [f"{way}, {how}" if both else way for way, how in groups]
    ax.legend(handles, names, fontsize=SMALL, frameon=False)
