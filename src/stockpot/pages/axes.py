"""What all figures share: panels, how axes look, labels that do not overlap."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..evaluation.results.comparison import Row
from ..evaluation.results.intervals import Interval
from ..libraries import optional
from .styles import GRID, INK, Style
from .units import Unit, plain, short

SMALL = 8.0
"""Points, of everything but titles."""
_LINE = 1.3 * SMALL
_TITLE = 0.085
"""Inches of a letter of a figure's title."""
_STEP = 0.11
"""Inches from one bar of a band to the next."""


def panels(
    ax: Any, count: int, *, columns: int, size: tuple[float, float], question: str
) -> list[Any]:
    """The Axes to draw on: the caller's, or `count` of a new figure, under its question.

    Args:
        ax: the caller's Axes; `count` must then be 1.
        count: how many panels.
        columns: the most that stand side by side.
        size: inches, of one panel.
        question: the title.
    """
    if ax is not None:
        ax.set_title(question, loc="left", fontsize=10)
        return [ax]
    columns = max(1, min(columns, count))
    rows = -(-count // columns)
    wide = max(size[0] * columns, _TITLE * len(question) + 0.2)
    figure = optional("matplotlib.figure").Figure(
        figsize=(wide, size[1] * rows + 0.5), layout="constrained"
    )
    figure.suptitle(question, x=0.01, ha="left", fontsize=11)
    axes = list(figure.subplots(rows, columns, squeeze=False).flat)
    for spare in axes[count:]:
        spare.remove()
    return axes[:count]


def dress(
    ax: Any, *, title: str = "", x: str = "", y: str = "", grid: str = "y", longest: int = 48
) -> None:
    """Thin axes, a quiet grid along one direction, small text."""
    if title:
        ax.set_title(plain(title, longest), loc="left", fontsize=9)
    ax.set_xlabel(x, fontsize=SMALL)
    ax.set_ylabel(y, fontsize=SMALL)
    ax.grid(axis=grid, color=GRID)
    ax.set_axisbelow(True)
    ax.spines[["top", "right"]].set_visible(False)
    ax.tick_params(labelsize=SMALL)


def interval_bar(
    ax: Any, row: Row | Interval, unit: Unit, style: Style, place: float, *, flat: bool
) -> None:
    """The 95% interval of a row at `place`, if it has one, lying down where `flat`."""
    if not (math.isfinite(row.low) and math.isfinite(row.high)):
        return
    ends = [unit.factor * row.low, unit.factor * row.high]
    line = (ends, [place, place]) if flat else ([place, place], ends)
    ax.plot(*line, color=style.colour, linewidth=1.3, solid_capstyle="butt")


def reference(ax: Any, value: float, words: str, *, flat: bool = True) -> None:
    """A thin line at a value that means something, if the axis reaches it; in words if any."""
    low, high = sorted(ax.get_ylim() if flat else ax.get_xlim())
    if not low <= value <= high:
        return
    line, side = (ax.axhline, "left") if flat else (ax.axvline, "right")
    line(value, color=INK, linewidth=0.8, linestyle=(0, (2, 3)))
    if not words:
        return
    place = ((0, value), (2, 2)) if flat else ((value, 0), (-2, 2))
    ax.annotate(
        words,
        place[0],
        xycoords=("axes fraction", "data") if flat else ("data", "axes fraction"),
        xytext=place[1],
        textcoords="offset points",
        fontsize=SMALL - 1,
        ha=side,
    )


def dodges(count: int, width: float) -> list[float]:
    """Small steps to either side of 0, so that bars of one place stand side by side."""
    return [width * ((number + 0.5) / count - 0.5) for number in range(count)]


@dataclass(frozen=True, slots=True)
class Band:
    """One dot and bar: the band that it lies in, what it is of, and its value."""

    name: str
    method: str
    span: Row | Interval


def bands_height(names: int, methods: int) -> float:
    """Inches of a panel of so many bands, with so many bars in each."""
    return max(1.8, names * (methods + 1.5) * _STEP + 0.9)


def bands(
    ax: Any, dots: Sequence[Band], names: Sequence[str], unit: Unit, drawn: Mapping[str, Style]
) -> None:
    """Names under each other, the first on top; the methods of one name in its band."""
    methods = list(dict.fromkeys(one.method for one in dots))
    band = dict(zip(methods, dodges(len(methods), 0.8), strict=True))
    for one in dots:
        place, style = names.index(one.name) + band[one.method], drawn[one.method]
        interval_bar(ax, one.span, unit, style, place, flat=True)
        ax.plot([unit.factor * one.span.value], [place], linestyle="none", **style.marks(4.5))
    for edge in range(1, len(names)):
        ax.axhline(edge - 0.5, color=GRID, linewidth=0.8)
    ax.set_yticks(range(len(names)), [plain(name) for name in short(names, 26)], fontsize=SMALL)
    ax.set_ylim(len(names) - 0.5, -0.5)
    ax.tick_params(axis="y", length=0)


def spread(places: Sequence[float], gap: float) -> list[float]:
    """Places in [0, 1], moved so that neighbours are `gap` apart; the order is kept.

    What does not fit below 1 is pushed down; where there are more than fit, they pass below 0.

    >>> spread([0.5, 0.5, 0.9], 0.25)
    [0.5, 0.75, 1.0]
    """
    order = np.argsort(np.asarray(places, dtype=float), kind="stable")
    moved = np.asarray(places, dtype=float)[order]
    for i in range(1, len(moved)):
        moved[i] = max(moved[i], moved[i - 1] + gap)
    ceiling = 1.0
    for i in reversed(range(len(moved))):
        moved[i] = min(moved[i], ceiling)
        ceiling = moved[i] - gap
    back = np.empty_like(moved)
    back[order] = moved
    return [float(one) for one in back]


def height_of(labels: int, least: float = 2.9) -> float:
    """Inches of a panel beside which so many labels stand under each other."""
    return max(least, (labels + 4) * _LINE / 72)


def label_ends(
    ax: Any, ends: Mapping[str, tuple[float, float]], drawn: Mapping[str, Style]
) -> None:
    """Name each line at its right end, moved apart, with a thread from the end to the name.

    Args:
        ax: its limits are taken as they are: set them before.
        ends: method to the (x, y) of its last point.
        drawn: the style of each method.
    """
    low, high = ax.get_ylim()
    inches = ax.figure.get_size_inches()[1] * ax.get_position().height
    gap = _LINE / (72 * 0.85 * inches)
    names = dict(zip(ends, short(list(ends), 30), strict=True))
    places = spread([(y - low) / (high - low) for _, y in ends.values()], gap)
    for (method, (x, y)), place in zip(ends.items(), places, strict=True):
        style = drawn[method]
        ax.plot([1.05], [place], transform=ax.transAxes, clip_on=False, **style.marks(4.5))
        ax.annotate(
            plain(names[method]),
            (x, y),
            xytext=(1.08, place),
            textcoords="axes fraction",
            va="center",
            fontsize=SMALL,
        )
        ax.annotate(
            "",
            (x, y),
            xytext=(1.05, place),
            textcoords="axes fraction",
            arrowprops={
                "arrowstyle": "-",
                "color": style.colour,
                "linewidth": 0.7,
                "shrinkA": 3,
                "shrinkB": 3,
            },
        )


def legend(
    ax: Any, axes: Sequence[Any], methods: Sequence[str], drawn: Mapping[str, Style]
) -> None:
    """Name each method's marker under the figure, or beside the lines on the caller's Axes.

    Args:
        ax: the caller's Axes, or None.
        axes: what was drawn on.
        methods: in the order to be named.
        drawn: the style of each.
    """
    line = optional("matplotlib.lines").Line2D
    handles = [line([], [], linestyle="none", **drawn[method].marks(5)) for method in methods]
    names = [_listed(plain(name)) for name in short(methods, 30)]
    name_below(ax, axes, handles, names, handletextpad=0.2, columnspacing=1.2)


def name_below(
    ax: Any, axes: Sequence[Any], handles: Sequence[Any], names: Sequence[str], **spacing: float
) -> None:
    """A legend under the figure, or on the caller's Axes; `spacing` is for the figure's."""
    if ax is not None:
        ax.legend(handles, names, fontsize=SMALL - 1, frameon=False)
        return
    figure = axes[0].figure
    columns = max(1, int(figure.get_size_inches()[0] / 2.3))
    figure.legend(
        handles,
        names,
        loc="outside lower left",
        ncols=min(columns, len(names)),
        fontsize=SMALL,
        frameon=False,
        **spacing,
    )


def _listed(name: str) -> str:
    """matplotlib leaves names that begin with an underscore out of a legend."""
    return f" {name}" if name.startswith("_") else name
