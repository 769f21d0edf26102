"""What a run tells: progress on its way, and what it found, a frozen dataclass for files and words.

A study, a comparison, a federated run and a validation give one; what writes and shows results
knows no more of them than this.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, fields
from importlib import import_module
from typing import Any, ClassVar, cast

from ..errors import StockpotError
from ..libraries import optional
from .showing import html_table, html_words
from .to_plain_data import plain_values, rows_csv

Progress = Callable[[str, float], None]
"""Called with what is in work, and the fraction of the whole that is behind."""


@dataclass(frozen=True, slots=True)
class Overview:
    """A table for the terminal: what most people want to see of a result first.

    Attributes:
        title: above it.
        columns, rows: the table.
        words: what the columns are, in short, for under it.
    """

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[object, ...], ...]
    words: str = ""


def _values(row: object) -> dict[str, Any]:
    """The fields of a row by their names, as they are."""
    return {one.name: getattr(row, one.name) for one in fields(cast(Any, row))}


class Result(ABC):
    """What was found; a subclass is a frozen dataclass with the field `title`, its question."""

    __slots__ = ()
    file_kind: ClassVar[str]
    """What results files call it."""
    main_figure: ClassVar[str] = ""
    """What `plot` draws: module:function, of the result and matplotlib's axes."""

    def __init_subclass__(cls, **more: Any) -> None:
        super().__init_subclass__(**more)
        if "__repr__" not in vars(cls):
            cls.__repr__ = Result.__repr__  # or dataclass would write one with every number

    @property
    @abstractmethod
    def sentences(self) -> tuple[str, ...]:
        """What was found, in words that are computed from the numbers."""

    @abstractmethod
    def table(self) -> tuple[type[Any], Sequence[object]]:
        """The main table: the dataclass of its rows, and the rows."""

    @property
    def answer(self) -> str:
        """The answer in one sentence, where there is one; else ''."""
        return ""

    def overview(self) -> Sequence[Overview]:
        """Tables for the terminal."""
        return ()

    def screen(self) -> Sequence[str | Overview]:
        """What the terminal shows of it, from top to bottom."""
        return (*self.overview(), *self.sentences)

    def derived(self) -> dict[str, object]:
        """What follows from the fields, and files have nevertheless."""
        return {}

    def __repr__(self) -> str:
        kind, rows = type(self).__name__, len(self.table()[1])
        return " ".join([f"{kind}({self._title!r:.100}, {rows:,} rows):", *self._words()])

    def _repr_html_(self) -> str:
        """What a notebook shows: the answer, and the tables of the terminal or the main one."""
        tables = [(one.title, one.columns, one.rows) for one in self.overview()]
        if not tables:
            kind, rows = self.table()
            names = [one.name for one in fields(kind)]
            tables = [("", tuple(names), tuple(tuple(_values(row).values()) for row in rows))]
        return html_words(self._title, self._words()) + "".join(html_table(*one) for one in tables)

    @property
    def _title(self) -> str:
        return cast(Any, self).title

    def _words(self) -> Sequence[str]:
        return [one for one in (self.answer or next(iter(self.sentences), ""),) if one]

    def to_pandas(self) -> Any:
        """The main table as a pandas.DataFrame, a row for each row.

        Raises:
            ExtraError: pandas is not installed.
        """
        kind, rows = self.table()
        names = [one.name for one in fields(kind)]
        frame = optional("pandas", "notebook").DataFrame
        return frame([_values(row) for row in rows], columns=names)

    def plot(self, ax: Any = None) -> Any:
        """The main figure of its page, on matplotlib's axes or in a figure of its own.

        Returns:
            The axes, the first where there are several.

        Raises:
            StockpotError: there is no figure of this kind of result.
            ExtraError: matplotlib is not installed.
        """
        where, _, name = self.main_figure.partition(":")
        if not where:
            raise StockpotError(
                f"{type(self).__name__} has no figure: draw what to_pandas() gives."
            )
        return getattr(import_module(where), name)(self, ax)

    def to_csv(self) -> str:
        """The main table under a header of the column names."""
        return rows_csv(*self.table())

    def as_dict(self) -> dict[str, object]:
        """Everything, as JSON has it: a number that is not finite is null."""
        found = {**asdict(cast(Any, self)), **self.derived()}
        return {key: plain_values(value) for key, value in found.items()}
