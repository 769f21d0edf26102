"""Numbered series of blocks in names of tensors, such as `model.layers.0.` to 31."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

_NUMBERED = re.compile(r"(.*?)([0-9]{1,9})", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Series:
    """Numbered blocks, such as `model.layers.0.` to `model.layers.31.`.

    Attributes:
        prefix: what stands before the number.
        numbers: the numbers that occur, ascending.
    """

    prefix: str
    numbers: tuple[int, ...]

    def positions(self, names: Iterable[str]) -> dict[str, int]:
        """For each name inside the series, which block it is in, from 0."""
        rank = {number: position for position, number in enumerate(self.numbers)}
        pattern = re.compile(re.escape(self.prefix) + r"([0-9]{1,9})(?:\.|$)")
        found = ((name, pattern.match(name)) for name in names)
        numbered = ((name, int(match[1])) for name, match in found if match)
        return {name: rank[number] for name, number in numbered if number in rank}

    def __str__(self) -> str:
        return f"'{self.prefix}{self.numbers[0]}' to '{self.prefix}{self.numbers[-1]}'"


def find_series(names: Iterable[str]) -> Series | None:
    """The longest numbered series of blocks; None where no number takes two values.

    A number is a whole component of a name (`layers.3.`); only where no such series exists may it
    end one (`layer3.`, as in ResNet). A series that is repeated in each block of another one, as
    experts or the steps of a Sequential are, does not count. Of equal ones the first is taken.
    """
    every = all_series(names)
    return max(every, key=lambda series: len(series.numbers), default=None)


def all_series(names: Iterable[str]) -> list[Series]:
    """Every series that `find_series` chooses from: one for each stack of a network."""
    names = list(names)
    return _numbered(names, whole=True) or _numbered(names, whole=False)


def _numbered(names: Iterable[str], *, whole: bool) -> list[Series]:
    numbers: dict[str, set[int]] = {}
    siblings: dict[str, set[str]] = {}  # a prefix with # for its numbers -> prefixes
    for name in names:
        prefix = template = ""
        for component in name.split("."):
            stem, number = _split(component)
            if number and not (whole and stem):
                numbers.setdefault(prefix + stem, set()).add(int(number))
                siblings.setdefault(template + stem, set()).add(prefix + stem)
            prefix += component + "."
            template += stem + ("#." if number else ".")
    alone = [next(iter(prefixes)) for prefixes in siblings.values() if len(prefixes) == 1]
    found = [Series(prefix, tuple(sorted(numbers[prefix]))) for prefix in alone]
    return [series for series in found if len(series.numbers) > 1]


@lru_cache(2**14)
def _split(component: str) -> tuple[str, str]:
    """What stands before the number that ends a component, and the number."""
    found = _NUMBERED.fullmatch(component)
    return (found[1], found[2]) if found else (component, "")
