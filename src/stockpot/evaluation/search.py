"""The best of a few candidates by a score, with what every one scored."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Generic, TypeVar

from ..errors import StockpotError

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Choice(Generic[T]):
    """The candidate chosen and every score that was looked at.

    Attributes:
        value: the first candidate with the highest score.
        score: its score.
        tried: every candidate with its score, in the order they were tried.
    """

    value: T
    score: float
    tried: tuple[tuple[T, float], ...]


def choose(candidates: Iterable[T], score: Callable[[T], float]) -> Choice[T]:
    """Score every candidate once and take the best; the score must not look at test data.

    Raises:
        StockpotError: without candidates.
    """
    tried = tuple((candidate, score(candidate)) for candidate in candidates)
    if not tried:
        raise StockpotError("There is nothing to choose from.")
    value, best = max(tried, key=lambda pair: pair[1])
    return Choice(value, best, tried)
