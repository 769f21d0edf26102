"""A figure as a value: panels made of columns of numbers, which `drawing.draw` draws.

Lines(( Series("soup", x=(2, 4), value=(91.0, 91.4), low=(90.1, 90.6), high=(91.8, 92.1)), ), ...)
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ..evaluation.results.comparison import Row
from ..evaluation.results.intervals import Interval
from .styles import GREY, Style
from .units import show_plainly

MOST_SERIES = 7
"""Joined lines in one panel, or marks of a name; of more, each has a panel of its own."""
MOST_ROWS, MOST_COLUMNS = 40, 20
"""Of a heat map."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """What one thing has at some places.

    Attributes:
        name: in the legend; '' for none.
        x: places: numbers, or positions among the names of an axis.
        value: at each; what is not finite is left out.
        low, high: ends of the intervals, or nothing.
        labels: beside each mark, or nothing.
        style: how it looks; a dash of "none" joins nothing.
    """

    name: str
    x: tuple[float, ...]
    value: tuple[float, ...]
    style: Style
    low: tuple[float, ...] = ()
    high: tuple[float, ...] = ()
    labels: tuple[str, ...] = ()

    def points(self) -> Iterator[tuple[float, float, float, float, str]]:
        """Place, value, both ends and label of what can be drawn."""
        nothing = (math.nan,) * len(self.x)
        ends = self.low or nothing, self.high or nothing
        labels = self.labels or ("",) * len(self.x)
        for point in zip(self.x, self.value, *ends, labels, strict=True):
            if math.isfinite(point[1]):
                yield point


def series(
    name: str,
    x: Sequence[float],
    spans: Sequence[Interval | Row],
    style: Style,
    *,
    factor: float = 1,
    labels: Sequence[str] = (),
) -> Series:
    """A series of values with intervals, times a factor."""
    value, low, high = (
        tuple(factor * getattr(one, end) for one in spans) for end in ("value", "low", "high")
    )
    return Series(
        name=name, x=tuple(x), value=value, low=low, high=high, style=style, labels=tuple(labels)
    )


@dataclass(frozen=True, slots=True)
class Axis:
    """An axis.

    Attributes:
        label: what it is of, with its unit.
        scale: of its numbers.
        limits: its ends; by default what is drawn, a little more.
        names: of the places 0, 1, ...; none where places are numbers.
        ticks: places that have names, where they are not 0, 1, ....
    """

    label: str = ""
    scale: Literal["linear", "log"] = "linear"
    limits: tuple[float | None, float | None] = (None, None)
    names: tuple[str, ...] = ()
    ticks: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class Level:
    """A thin line at a value that means something, if the axis reaches it."""

    value: float
    words: str = ""
    along: Literal["x", "y", "diagonal"] = "y"


@dataclass(frozen=True, slots=True, kw_only=True)
class Lines:
    """Values over places; intervals are bands around lines and bars through single marks."""

    series: tuple[Series, ...]
    x: Axis
    y: Axis
    title: str = ""
    levels: tuple[Level, ...] = ()
    width: float = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Dots:
    """Names under each other; for each, a mark with its interval of every series, side by side.

    Attributes:
        series: places are positions in `names`.
        names: from top to bottom.
        x: the axis of values.
        marks: dots, or bars from 0.
    """

    series: tuple[Series, ...]
    names: tuple[str, ...]
    x: Axis
    title: str = ""
    levels: tuple[Level, ...] = ()
    marks: Literal["dots", "bars"] = "dots"
    width: float = 5.6


@dataclass(frozen=True, slots=True)
class Cell:
    """One cell of a heat map: where, its value and what is written in it."""

    row: int
    column: int
    value: float
    words: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Heat:
    """A table drawn as colours: orange above 0, blue below, the darker the further.

    Attributes:
        cells: what is coloured; blank where there is none.
        rows, columns: names.
        limit: the value that is darkest.
        scale: how colour grows; by the root small values are seen.
        x, y: what is across and down.
    """

    cells: tuple[Cell, ...]
    rows: tuple[str, ...]
    columns: tuple[str, ...]
    limit: float
    x: str
    y: str = ""
    scale: Literal["linear", "root"] = "linear"
    title: str = ""


def heat(
    values: Mapping[tuple[str, str], float],
    rows: Sequence[str],
    columns: Sequence[str],
    *,
    x: str,
    show: Callable[[float], str],
    limit: float | None = None,
) -> Heat:
    """A heat map of `values[row, column]`.

    Of more than 40 rows so many evenly, of more than 20 columns the first.
    """
    rows, columns = shown_rows(rows), list(columns)[:MOST_COLUMNS]
    cells = [
        Cell(down, across, value, show(value))
        for down, row in enumerate(rows)
        for across, column in enumerate(columns)
        if not math.isnan(value := values.get((row, column), math.nan))
    ]
    sizes = [abs(one.value) for one in cells if math.isfinite(one.value)]
    most = limit or max(sizes, default=0.0) or 1.0
    return Heat(cells=tuple(cells), rows=tuple(rows), columns=tuple(columns), limit=most, x=x)


def shown_rows(rows: Sequence[str]) -> list[str]:
    """All rows, or 40 of them evenly."""
    count = len(rows)
    if count <= MOST_ROWS:
        return list(rows)
    return [rows[count * k // MOST_ROWS] for k in range(MOST_ROWS)]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Surface:
    """Heights over a plane, as colours between lines of equal height.

    Attributes:
        x, y, heights: [V, U], of a grid that may be sheared.
        marks: named points.
        label: of x.
    """

    x: NDArray[np.floating[Any]]
    y: NDArray[np.floating[Any]]
    heights: NDArray[np.floating[Any]]
    marks: tuple[tuple[str, float, float], ...]
    label: str
    title: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class Strip:
    """A row of pictures.

    Attributes:
        label: at its left.
        values: float32 [R, C, H, W].
        scale: the value whose colour is full; rows to be compared share it.
    """

    label: str
    values: NDArray[np.floating[Any]]
    scale: float


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Mosaic:
    """Strips under each other, `columns` pictures wide, and again below for the next ones.

    Attributes:
        strips: with equally many pictures of one size.
        names: over each picture of the first strip; none for none. A name may have two lines.
        columns: pictures side by side.
        inches: width of a picture.
    """

    strips: tuple[Strip, ...]
    names: tuple[str, ...]
    columns: int
    inches: float
    title: str = ""


Panel = Lines | Dots | Heat | Surface | Mosaic


@dataclass(frozen=True, slots=True)
class Figure:
    """A figure of a page.

    Attributes:
        name: its id, and the name of its file.
        title: its question, in a few words.
        caption: what was found, in numbers, then how to read it.
        panels: what is drawn.
    """

    name: str
    title: str
    caption: str
    panels: tuple[Panel, ...]


def figure(name: str, title: str, caption: str, *panels: Panel) -> Figure:
    """A figure; a panel of too many series becomes several."""
    return Figure(name, title, caption.strip(), tuple(one for p in panels for one in _apart(p)))


def nothing_to_see(shown: Figure) -> str:
    """What is said in place of a figure whose marks are all at one value; '' where it is seen."""
    values: set[float] = set()
    count = 0
    for panel in shown.panels:
        if isinstance(panel, Surface | Mosaic):
            return ""
        if isinstance(panel, Heat):
            seen = [one.value for one in panel.cells]
        else:
            points = [point for one in panel.series for point in one.points()]
            if any(high > low for _, _, low, high, _ in points):
                return ""
            seen = [point[1] for point in points]
        values.update(seen)
        count += len(seen)
    if not values:
        return "No value is finite, so there is nothing to draw."
    if len(values) > 1 or count == 1:
        return ""
    return f"All {count} values are {show_plainly(values.pop())}, so there is nothing to draw."


def _apart(panel: Panel) -> tuple[Panel, ...]:
    """Joined lines: each before all the others in grey. Dots: each name with its series below."""
    if isinstance(panel, Lines):
        joined = {one.name for one in panel.series if one.name and one.style.dash != "none"}
        if len(joined) > MOST_SERIES:
            return tuple(_before_others(panel, one) for one in panel.series if one.name)
    if isinstance(panel, Dots) and len(panel.names) > 1:
        at = [place for one in panel.series for place in one.x]
        if max(map(at.count, at), default=0) > MOST_SERIES:
            return tuple(_of_name(panel, place) for place in range(len(panel.names)))
    return (panel,)


def _before_others(panel: Lines, one: Series) -> Lines:
    quiet = [
        replace(
            other,
            name="",
            low=(),
            high=(),
            labels=(),
            style=Style(GREY, "", "solid", width=0.7, alpha=0.45),
        )
        for other in panel.series
        if other is not one
    ]
    title = f"{one.name}: {panel.title}" if panel.title else one.name
    alone = replace(one, name="")
    return replace(panel, series=(*quiet, alone), title=title, width=3.4)


def _of_name(panel: Dots, place: int) -> Dots:
    rows = [(one, k) for one in panel.series for k, other in enumerate(one.x) if other == place]
    apart = [
        replace(
            one, name="", x=(float(row),),
            **{end: getattr(one, end)[k : k + 1] for end in ("value", "low", "high", "labels")},
        )
        for row, (one, k) in enumerate(rows)
    ]  # fmt: skip
    title = ": ".join(filter(None, (panel.title, panel.names[place])))
    names = tuple(one.name for one, _ in rows)
    return replace(panel, series=tuple(apart), names=names, title=title, width=5.0)
