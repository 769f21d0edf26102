"""What a run tells: progress on its way, and what it found, a frozen dataclass for files and words.

A study, a comparison, a federated run and a validation give one; what writes and shows results
knows no more of them than this.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, ClassVar, cast

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


class Result(ABC):
    """What was found; a subclass is a frozen dataclass with the field `title`, its question."""

    __slots__ = ()
    file_kind: ClassVar[str]
    """What results files call it."""

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

    def to_csv(self) -> str:
        """The main table under a header of the column names."""
        return rows_csv(*self.table())

    def as_dict(self) -> dict[str, object]:
        """Everything, as JSON has it: a number that is not finite is null."""
        found = {**asdict(cast(Any, self)), **self.derived()}
        return {key: plain_values(value) for key, value in found.items()}
