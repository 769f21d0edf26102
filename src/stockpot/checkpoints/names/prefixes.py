"""What stands before names in one checkpoint, and what stands before the same ends in another."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

Shapes = Mapping[str, tuple[int, ...] | None]
"""Name -> shape; None where the tensor lies in parts."""

MOST = 4
"""Prefixes that may differ between two names of one network, as language and vision towers do."""
_VOTED = 16
"""Candidates that are tried out, those with the most votes first."""
_NAMESAKES = 64
"""Names with one end beyond which the end says nothing."""


@dataclass(frozen=True, slots=True)
class Prefix:
    """What stands before some names in the first checkpoint and in the other; '' for nothing."""

    in_first: str
    in_other: str

    def __str__(self) -> str:
        if not self.in_first:
            return f"with '{self.in_other}' before them"
        if not self.in_other:
            return f"without '{self.in_first}' before them"
        return f"'{self.in_other}' for '{self.in_first}'"

    @property
    def is_related(self) -> bool:
        """Whether one has the modules of the other and more: `model.language_model.`, `model.`."""
        here, there = Counter(self.in_first.split(".")), Counter(self.in_other.split("."))
        return here <= there or there <= here


def find_prefixes(first: Shapes, other: Shapes) -> tuple[tuple[Prefix, ...], dict[str, str]]:
    """The fewest prefixes that bring names of the other to names of the first, one to one.

    Returns:
        The prefixes, and name in the other -> name in the first.
    """
    rest_first, rest_other = dict(first), dict(other)
    most = min(len(first), len(other)) // 2
    found: list[Prefix] = []
    moved: dict[str, str] = {}
    while rest_first and rest_other and len(found) < MOST:
        best = _best(rest_first, rest_other, most)
        if best is None:
            break
        prefix, names = best
        found.append(prefix)
        moved |= names
        for of_other, of_first in names.items():
            del rest_other[of_other], rest_first[of_first]
    return tuple(found), moved


def _best(first: Shapes, other: Shapes, most: int) -> tuple[Prefix, dict[str, str]] | None:
    """The prefix that most names agree on; None where two would explain the same names."""
    votes = _votes(first, other)
    tried = [
        (names, prefix)
        for prefix, _ in votes.most_common(_VOTED)
        if _is_told(names := _moved(prefix, first, other), prefix, most)
    ]
    if not tried:
        return None
    agreed = {id(names): _alike(names, first, other) for names, _ in tried}
    names, prefix = max(tried, key=lambda one: (agreed[id(one[0])], len(one[0])))
    for rival, _ in tried:
        same = rival is not names and agreed[id(rival)] == agreed[id(names)]
        if same and (rival.keys() & names.keys() or set(rival.values()) & set(names.values())):
            return None
    return prefix, names


def _is_told(names: Mapping[str, str], prefix: Prefix, most: int) -> bool:
    """Prefixes that have nothing in common must explain most names to be believed.

    `pooler.` of one BERT and `cls.predictions.transform.` of another have layers of one shape.
    """
    return bool(names) and (prefix.is_related or len(names) > max(most, 1))


def _votes(first: Shapes, other: Shapes) -> Counter[Prefix]:
    ends: dict[str, list[str]] = {}
    for name in first:
        for end in _ends(name):
            ends.setdefault(end, []).append(name)
    votes: Counter[Prefix] = Counter()
    for name, shape in other.items():
        for end in _ends(name):
            namesakes = [n for n in ends.get(end, ())[:_NAMESAKES] if _fit(first[n], shape)]
            for namesake in namesakes:
                prefix = Prefix(namesake.removesuffix(end), name.removesuffix(end))
                if prefix.is_related or "." in end:
                    votes[prefix] += 1
            if namesakes:
                break
    return votes


def _ends(name: str) -> list[str]:
    """The name, and what is left of it when modules go from its front, the longest first."""
    parts = name.split(".")
    return [".".join(parts[k:]) for k in range(len(parts))]


def _moved(prefix: Prefix, first: Shapes, other: Shapes) -> dict[str, str]:
    """Name in the other -> name in the first, by this prefix, whatever the shapes."""
    return {
        name: moved
        for name in other
        if name.startswith(prefix.in_other)
        and (moved := prefix.in_first + name[len(prefix.in_other) :]) in first
    }


def _alike(names: Mapping[str, str], first: Shapes, other: Shapes) -> int:
    return sum(_fit(first[of_first], other[of_other]) for of_other, of_first in names.items())


def _fit(one: tuple[int, ...] | None, other: tuple[int, ...] | None) -> bool:
    return one is None or other is None or one == other
