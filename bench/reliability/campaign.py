"""One promise and how often it was tried: the row that a campaign gives."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Tried:
    """A row of the table.

    Attributes:
        promise: what stockpot promises, in a sentence.
        how: how it was tried, in a few words.
        tried, held: how often, and how often the promise held.
        broken: the first cases in which it did not, in words.
    """

    promise: str
    how: str
    tried: int
    held: int
    broken: tuple[str, ...] = ()


Campaign = Callable[[Path, bool], Iterator[Tried]]
"""Takes an empty folder to work in, and whether few cases are enough (`--quick`)."""
