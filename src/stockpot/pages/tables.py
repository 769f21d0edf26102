"""A table of a page, as a value: what stands in each cell and by what it sorts."""

import math
from dataclasses import dataclass

from ..evaluation.results.comparison import Row
from ..evaluation.results.intervals import Interval
from .units import Unit


@dataclass(frozen=True, slots=True)
class Entry:
    """One cell of a table.

    Attributes:
        text: what is read.
        detail: smaller, under it.
        key: the number it sorts by; nothing where it is a word.
    """

    text: str
    detail: str = ""
    key: float | None = None


@dataclass(frozen=True, slots=True)
class Table:
    """A table with one row of headings.

    Attributes:
        title: what it holds, in a few words.
        caption: what it holds, and how to read it.
        headings: of each column.
        rows: entries, as many as there are headings.
        names: how many columns from the left name the row.
    """

    title: str
    caption: str
    headings: tuple[Entry, ...]
    rows: tuple[tuple[Entry, ...], ...]
    names: int = 1


EMPTY = Entry("—")


def interval_words(span: Interval | Row, unit: Unit) -> str:
    """The interval's ends: "91.0 to 93.5"; nothing where there is none."""
    if not (math.isfinite(span.low) and math.isfinite(span.high)):
        return "no interval"
    return f"{unit.show(span.low)} to {unit.show(span.high)}"


def value_entry(row: Row | None, unit: Unit) -> Entry:
    """The value with its interval under it."""
    if row is None:
        return EMPTY
    broken = f"; {100 * row.non_finite:.2g}% not finite" if row.non_finite else ""
    return Entry(unit.show(row.value), interval_words(row, unit) + broken, sort_key(row.value))


def sort_key(value: float) -> float | None:
    """What a cell with this number sorts by; nothing where it is not finite."""
    return value if math.isfinite(value) else None


def capital(text: str) -> str:
    """With a capital letter."""
    return text[:1].upper() + text[1:]
