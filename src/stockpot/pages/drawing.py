"""Figures drawn with matplotlib: panel by panel for a page, whole for a file of a paper."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..libraries import optional
from .figures import Axis, Dots, Figure, Heat, Level, Lines, Panel, Surface
from .mosaics import mosaic_size, paint_mosaic
from .styles import BLUE, GRID, INK, PAPER, VERMILION, Style
from .units import plain, short

SMALL = 8.0
"""Points, of all text but titles."""
COLUMN, PAGE = 3.3, 6.9
"""Inches of a column of a paper with two, and of both."""
_LETTERS = 13
"""Of a label, to the inch."""
_DARKEST = 0.65
"""Opacity at the end of a scale; text is legible on it in dark and in light."""
_WRITTEN = 12
"""Columns of a heat map that have room for a number in each cell."""


def draw(figure: Figure, ax: Any = None) -> Any:
    """Draw a figure at the size of a paper's column or page; or its first panel on one's own Axes.

    Returns:
        The Axes, the first of them.

    Raises:
        ExtraError: without matplotlib.
    """
    if ax is not None:
        _paint(ax, figure.panels[0])
        _legend(ax, figure.panels[0], ax)
        return ax
    sizes = [_size(panel) for panel in figure.panels]
    wide = max(width for width, _ in sizes)
    across = 1 if len(sizes) == 1 else min(len(sizes), 2 if wide > 4 else 3)
    width = COLUMN if across == 1 and wide < 6 else PAGE
    down = -(-len(sizes) // across)
    tall = max(height * min(1.0, max(width / across / w, 0.75)) for w, height in sizes)
    whole = _figure(width, tall * down)
    axes = list(whole.subplots(down, across, squeeze=False).flat)
    for spare in axes[len(sizes) :]:
        spare.remove()
    for one, panel in zip(axes, figure.panels, strict=False):
        _paint(one, panel)
    names = [_names(panel) for panel in figure.panels]
    for place, panel in enumerate(figure.panels):
        if names[place] not in names[place + 1 :]:
            _legend(axes[place], panel, whole)
    return axes[0]


def draw_panels(figure: Figure) -> list[Any]:
    """Each panel in a figure of its own, which a page sets beside or under each other."""
    drawn: list[Any] = []
    for panel in figure.panels:
        whole = _figure(*_size(panel))
        ax = whole.subplots()
        _paint(ax, panel)
        _legend(ax, panel, whole)
        drawn.append(ax)
    return drawn


def _figure(width: float, height: float) -> Any:
    made = optional("matplotlib.figure").Figure
    return made(figsize=(width, height), layout="constrained")


def _size(panel: Panel) -> tuple[float, float]:
    """Inches of a panel in a page."""
    match panel:
        case Lines():
            below = 0.2 * -(-len(_names(panel)) // 2) if len(_names(panel)) > 1 else 0
            turned = 1.0 if _turned(panel.x.names) else 0
            return panel.width, 2.2 + 0.14 * panel.width + below + turned
        case Dots():
            rows = sum(max(1, count) for count in _counts(panel))
            below = 0.2 * -(-len(_names(panel)) // 2) if len(_names(panel)) > 1 else 0
            return panel.width, 0.8 + 0.14 * rows + 0.09 * len(panel.names) + below
        case Heat():
            names = max(map(len, short(panel.rows, 34)), default=0)
            heads = max(map(len, short(panel.columns, 21)), default=0)
            wide = max((0.52 if _written(panel) else 0.3) * len(panel.columns), 0.07 * len(panel.x))
            return max(1.0 + 0.07 * names + wide, 4.6), 0.2 * len(panel.rows) + 0.6 + 0.08 * heads
        case Surface():
            return 4.6, 3.6
        case _:
            return mosaic_size(panel)


def _paint(ax: Any, panel: Panel) -> None:
    match panel:
        case Lines():
            _lines(ax, panel)
        case Dots():
            _dots(ax, panel)
        case Heat():
            _heat(ax, panel)
        case Surface():
            _surface(ax, panel)
        case _:
            paint_mosaic(ax, panel)
    if panel.title:
        names = short(panel.names, 30) if isinstance(panel, Dots) else ()
        room = ax.figure.get_size_inches()[0] - 0.07 * max(map(len, names), default=0)
        ax.set_title(plain(panel.title, int(11 * room)), loc="left", fontsize=SMALL + 1)


def _dress(ax: Any, x: str, y: str, grid: str) -> None:
    wide, tall = ax.figure.get_size_inches()
    ax.set_xlabel(plain(x, int(_LETTERS * wide)), fontsize=SMALL)
    ax.set_ylabel(plain(y, int(_LETTERS * tall)), fontsize=SMALL)
    if grid:
        ax.grid(axis=grid, color=GRID)
    ax.set_axisbelow(True)
    ax.spines[["top", "right"]].set_visible(False)
    ax.tick_params(which="both", labelsize=SMALL)


def _lines(ax: Any, panel: Lines) -> None:
    for one in panel.series:
        points = list(one.points())
        if not points:
            continue
        xs, ys = [p[0] for p in points], [p[1] for p in points]
        style = one.style
        whole = all(math.isfinite(p[2]) and math.isfinite(p[3]) for p in points)
        if whole and style.dash != "none" and len(points) > 1:
            ends = [p[2] for p in points], [p[3] for p in points]
            ax.fill_between(xs, *ends, color=style.colour, alpha=0.13, linewidth=0)
        else:
            _spans(ax, [(x, low, high) for x, _, low, high, _ in points], style, flat=False)
        lonely = style.marker or len(points) == 1
        marks = style.marks() if lonely else {"color": style.colour}
        ax.plot(xs, ys, linestyle=style.dash, linewidth=style.width, alpha=style.alpha, **marks)
        for x, y, _, _, words in points:
            if words:
                _beside(ax, x, y, words)
    if panel.x.scale == "log":
        ax.set_xscale("log")
    if panel.y.scale == "log":
        ax.set_yscale("log")
    _ticks(ax, panel.x)
    grid = "both" if all(one.style.dash == "none" for one in panel.series) else "y"
    _dress(ax, panel.x.label, panel.y.label, grid)
    ax.set_xlim(*panel.x.limits)
    ax.set_ylim(*panel.y.limits)
    _levels(ax, panel.levels)


def _ticks(ax: Any, axis: Axis) -> None:
    if not axis.names:
        return
    places = axis.ticks or range(len(axis.names))
    turned = _turned(axis.names)
    heads = [plain(name) for name in short(axis.names, 26)]
    ax.set_xticks(places, heads, rotation=90 if turned else 0)
    ax.set_xticks([], minor=True)


def _turned(names: Sequence[str]) -> bool:
    return sum(len(name) + 2 for name in names) > 48


def _dots(ax: Any, panel: Dots) -> None:
    counts, seen = _counts(panel), [0] * len(panel.names)
    for one in panel.series:
        for x, value, low, high, words in one.points():
            name = int(x)
            place = name + 0.8 * ((seen[name] + 0.5) / counts[name] - 0.5)
            seen[name] += 1
            if panel.marks == "bars":
                ax.barh(place, value, 0.72 / counts[name], color=one.style.colour)
            else:
                _spans(ax, [(place, low, high)], one.style, flat=True)
                marks = one.style.marks()
                ax.plot([value], [place], linestyle="none", alpha=one.style.alpha, **marks)
            if words:
                _beside(ax, high if math.isfinite(high) else value, place, words)
    if max(counts, default=1) > 1:
        for edge in range(1, len(panel.names)):
            ax.axhline(edge - 0.5, color=GRID, linewidth=0.8)
    ax.set_yticks(range(len(panel.names)), [plain(one) for one in short(panel.names, 30)])
    ax.set_ylim(len(panel.names) - 0.4, -0.6)
    ax.margins(x=0.08)
    ax.set_xlim(*panel.x.limits)
    _dress(ax, panel.x.label, "", "x")
    ax.tick_params(axis="y", length=0)
    _levels(ax, panel.levels)


def _counts(panel: Dots) -> list[int]:
    """How many marks each name has."""
    counts = [0] * len(panel.names)
    for one in panel.series:
        for point in one.points():
            counts[int(point[0])] += 1
    return counts


def _spans(
    ax: Any, spans: Sequence[tuple[float, float, float]], style: Style, *, flat: bool
) -> None:
    for place, low, high in spans:
        if math.isfinite(low) and math.isfinite(high):
            line = ([low, high], [place, place]) if flat else ([place, place], [low, high])
            ax.plot(*line, color=style.colour, linewidth=1.3, solid_capstyle="butt")


def _beside(ax: Any, x: float, y: float, words: str) -> None:
    ax.annotate(
        plain(words), (x, y), xytext=(6, 0), textcoords="offset points", va="center",
        fontsize=SMALL,
    )  # fmt: skip


def _levels(ax: Any, levels: Sequence[Level]) -> None:
    for one in levels:
        how = {"color": INK, "linewidth": 0.8, "linestyle": (0, (2, 3))}
        if one.along == "diagonal":
            ends = ax.get_xlim()
            ax.plot(ends, ends, **how)
            continue
        low, high = sorted(ax.get_ylim() if one.along == "y" else ax.get_xlim())
        if not low <= one.value <= high:
            continue
        (ax.axhline if one.along == "y" else ax.axvline)(one.value, **how)
        if one.words:
            place, away = (
                ((1, one.value), (-2, 2)) if one.along == "y" else ((one.value, 1), (2, 2))
            )
            across = ("axes fraction", "data") if one.along == "y" else ("data", "axes fraction")
            side = "right" if one.along == "y" else "left"
            ax.annotate(
                one.words, place, xycoords=across, xytext=away, textcoords="offset points",
                fontsize=SMALL - 1, ha=side,
            )  # fmt: skip


def _written(panel: Heat) -> bool:
    longest = max((len(one.words) for one in panel.cells), default=0)
    return len(panel.columns) <= (_WRITTEN if longest > 3 else 25)


def _heat(ax: Any, panel: Heat) -> None:
    rectangle = optional("matplotlib.patches").Rectangle
    for one in panel.cells:
        share = min(abs(one.value) / panel.limit, 1.0)
        patch = rectangle(
            (one.column - 0.5, one.row - 0.5), 1, 1,
            color=VERMILION if one.value >= 0 else BLUE,
            alpha=_DARKEST * (math.sqrt(share) if panel.scale == "root" else share),
        )  # fmt: skip
        patch.set_linewidth(0)
        ax.add_patch(patch)
        if one.words and _written(panel):
            ax.text(one.column, one.row, one.words, ha="center", va="center", fontsize=SMALL - 1)
    _dress(ax, panel.x, panel.y, "")
    heads = [plain(one) for one in short(panel.columns, 21)]
    ax.set_yticks(range(len(panel.rows)), [plain(one, 34) for one in short(panel.rows, 34)])
    ax.set_xticks(
        range(len(heads)), heads, rotation=90 if max(map(len, heads), default=0) > 2 else 0
    )
    ax.set_xlim(-0.5, len(panel.columns) - 0.5)
    ax.set_ylim(len(panel.rows) - 0.5, -0.5)
    ax.spines[:].set_visible(False)
    ax.tick_params(length=0, labelsize=SMALL - 0.5)


def _surface(ax: Any, panel: Surface) -> None:
    heights = np.asarray(panel.heights)
    drawn = ax.contourf(panel.x, panel.y, heights, levels=12, cmap="viridis")
    ax.figure.colorbar(drawn, ax=ax).ax.tick_params(labelsize=SMALL)
    for name, x, y in panel.marks:
        ax.plot([x], [y], marker="o", markersize=5, color=PAPER, markeredgecolor=INK)
        ax.annotate(
            name, (x, y), xytext=(4, 4), textcoords="offset points", fontsize=SMALL,
            bbox={"facecolor": PAPER, "edgecolor": "none", "alpha": 0.75, "pad": 1.0},
        )  # fmt: skip
    ax.set_aspect("equal")
    _dress(ax, panel.label, "", "")


def _names(panel: Panel) -> tuple[str, ...]:
    if not isinstance(panel, Lines | Dots):
        return ()
    return tuple(dict.fromkeys(one.name for one in panel.series if one.name))


def _legend(ax: Any, panel: Panel, where: Any) -> None:
    """Under the figure, or on the caller's Axes; none where there is one name only."""
    names = _names(panel)
    if len(names) < 2:
        return
    assert isinstance(panel, Lines | Dots)
    styles = {one.name: one.style for one in reversed(panel.series)}
    line, patch = optional("matplotlib.lines").Line2D, optional("matplotlib.patches").Patch
    handles = [
        patch(color=styles[name].colour)
        if isinstance(panel, Dots) and panel.marks == "bars"
        else line(
            [], [], linestyle=styles[name].dash if isinstance(panel, Lines) else "none",
            linewidth=1.4, **styles[name].marks(),
        )
        for name in names
    ]  # fmt: skip
    inside = where is ax
    place = (
        {}
        if inside
        else {
            "loc": "outside lower left",
            "ncols": max(1, int(ax.figure.get_size_inches()[0] / 2.4)),
        }
    )
    words = [
        f" {plain(name)}" if name.startswith("_") else plain(name) for name in short(names, 30)
    ]
    where.legend(handles, words, fontsize=SMALL, frameon=False, **place)
