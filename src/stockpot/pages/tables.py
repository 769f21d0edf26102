"""A table of a page, as a value: its rows are what was found, its columns say what is shown of one.

table("Models", "Their lengths.", rows, words("model", lambda row: row.model),
      number("length", lambda row: row.length, 4))
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Literal, TypeVar

from ..evaluation.results.comparison import Row
from ..evaluation.results.intervals import NO_INTERVAL, TOO_FEW, Interval
from .units import Unit, readable

R = TypeVar("R")

MOST = 2000
"""Rows of a folded table; results.csv has all."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One cell of a table.

    Attributes:
        text: what is read.
        detail: smaller, under it.
        key: the number it sorts by; nothing where it is a word.
        mark: "best" where it is the best of its column.
    """

    text: str
    detail: str = ""
    key: float | None = None
    mark: Literal["", "best"] = ""

    @property
    def long(self) -> bool:
        """Whether it has a word that must be broken, or many."""
        return len(self.text) > 40 or max(map(len, self.text.split()), default=0) > 24


EMPTY = Entry("—")


@dataclass(frozen=True, slots=True)
class Column(Generic[R]):
    """One column of a table.

    Attributes:
        heading: what is over it.
        cell: what a row has in it.
        detail: smaller, under the heading.
    """

    heading: str
    cell: Callable[[R], Entry]
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Table:
    """A table with one row of headings.

    Attributes:
        title: what it holds, in a few words.
        caption: what it holds, and how to read it.
        columns: from left to right.
        rows: what the columns are of.
        names: how many columns from the left name the row.
    """

    title: str
    caption: str
    columns: tuple[Column[Any], ...]
    rows: tuple[Any, ...]
    names: int = 1

    @property
    def headings(self) -> tuple[Entry, ...]:
        """Of each column."""
        return tuple(Entry(readable(one.heading), one.detail) for one in self.columns)

    @property
    def cells(self) -> tuple[tuple[Entry, ...], ...]:
        """Row by row, as many as there are headings."""
        return tuple(tuple(column.cell(row) for column in self.columns) for row in self.rows)


def table(
    title: str,
    caption: str,
    rows: Sequence[R],
    *columns: Column[R],
    names: int = 1,
    most: int | None = None,
) -> Table:
    """A table of rows.

    Args:
        title, caption: see `Table`.
        rows: what it is of.
        columns: what is shown of each.
        names: columns from the left that name a row together.
        most: rows of it that are shown; that there are more is said in the caption.
    """
    if most is not None and len(rows) > most:
        caption += f" The first {most} of {len(rows)}; results.csv has all."
    return Table(title, caption, columns, tuple(rows[:most]), names)


def words(
    heading: str,
    text: Callable[[R], str | None],
    detail: Callable[[R], str] = lambda _: "",
) -> Column[R]:
    """Text; a dash where there is none."""

    def cell(row: R) -> Entry:
        said = text(row)
        return EMPTY if said is None else Entry(readable(said), readable(detail(row)))

    return Column(heading, cell)


def number(heading: str, value: Callable[[R], float], digits: int, detail: str = "") -> Column[R]:
    """A number with so many significant digits; a dash where it is not finite."""

    def cell(row: R) -> Entry:
        found = value(row)
        return Entry(f"{found:.{digits}g}", key=found) if math.isfinite(found) else EMPTY

    return Column(heading, cell, detail)


def count(
    heading: str, value: Callable[[R], int | None], show: Callable[[int], str] = str
) -> Column[R]:
    """A whole number; a dash where there is none."""

    def cell(row: R) -> Entry:
        found = value(row)
        return EMPTY if found is None else Entry(show(found), key=found)

    return Column(heading, cell)


def keyed(
    heading: str,
    value: Callable[[R], float | None],
    show: Callable[[float], str],
    detail: str = "",
) -> Column[R]:
    """A number in words of its own, which sorts where it is finite; a dash where there is none."""

    def cell(row: R) -> Entry:
        found = value(row)
        return EMPTY if found is None else Entry(show(found), key=sort_key(found))

    return Column(heading, cell, detail)


def interval(
    heading: str,
    span: Callable[[R], Interval | None],
    digits: int,
    factor: float = 1,
    sign: str = "",
    detail: str = "",
) -> Column[R]:
    """A value times a factor with so many decimals, its interval under it.

    A dash stands where the value is not finite or there is none; it sorts by what it is before the
    factor. The sign "+" is shown of positive values too.
    """

    def cell(row: R) -> Entry:
        found = span(row)
        if found is None or not math.isfinite(found.value):
            return EMPTY
        low, high = factor * found.low, factor * found.high
        ends = f"{low:.{digits}f} to {high:.{digits}f}" if math.isfinite(low) else NO_INTERVAL
        return Entry(f"{factor * found.value:{sign}.{digits}f}", ends, found.value)

    return Column(heading, cell, detail)


def measured(
    heading: str, row_of: Callable[[R], Row | None], unit: Unit, detail: str = ""
) -> Column[R]:
    """A row of a comparison: its value in a metric's unit, with the interval under it."""

    def cell(row: R) -> Entry:
        found = row_of(row)
        return EMPTY if found is None else measured_entry(found, unit)

    return Column(heading, cell, detail)


def measured_entry(row: Row, unit: Unit) -> Entry:
    """A row's value in a metric's unit, with the interval under it."""
    broken = f"; {100 * row.non_finite:.2g}% not finite" if row.non_finite else ""
    ends = interval_words(row, unit) + broken
    return Entry(unit.show(row.value), ends, sort_key(row.value))


def interval_words(span: Interval | Row, unit: Unit) -> str:
    """The interval's ends: "91.0 to 93.5"; nothing where there is none."""
    if not (math.isfinite(span.low) and math.isfinite(span.high)):
        return why_no_interval(span)
    return f"{unit.show(span.low)} to {unit.show(span.high)}"


def why_no_interval(span: Interval | Row) -> str:
    """What stands in its place: of a mean over pools, that they are too few."""
    over_pools = isinstance(span, Row) and span.seed < 0 and math.isfinite(span.value)
    return TOO_FEW if over_pools else NO_INTERVAL


def sort_key(value: float) -> float | None:
    """What a cell with this number sorts by; nothing where it is not finite."""
    return value if math.isfinite(value) else None


def capital(text: str) -> str:
    """With a capital letter."""
    return text[:1].upper() + text[1:]
