"""Whether two checkpoints hold the same tensors under other names, and which name means which.

Names alone are compared, and shapes where they must decide. What is written in another way (weight
norm, experts, wrappers) is known from `spelling`; whatever stands before names is found: of each
name the longest end that a name of the other has too, with the same shape, votes for what stands
before it in both.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Literal

from ..entry import TensorEntry
from .prefixes import Prefix, find_prefixes
from .spelling import WRAPPERS, Spelled, spell

_USUAL = {"norms": "weight and bias"}
"""The style of a name that is written in none, by family."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stack:
    """A tensor that one checkpoint holds whole and the other in parts, such as experts.

    Attributes:
        whole: its name where it is whole.
        parts: the names of its parts in the other, expert by expert.
        whole_in: which checkpoint holds it whole.
    """

    whole: str
    parts: tuple[str, ...]
    whole_in: Literal["first", "other"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Renaming:
    """How the names of one checkpoint stand for the names of another.

    Attributes:
        names: name in the other -> name in the first, one to one; names that are equal are left
            out.
        stacks: tensors that only one of the two holds whole.
        kinds: how the names of the other differ, in words that follow a colon.
        prefixes: what stands before names, as far as that is the difference.
        whole: whether no name of the other is without a meaning in the first.
    """

    names: Mapping[str, str]
    stacks: tuple[Stack, ...]
    kinds: tuple[str, ...]
    prefixes: tuple[Prefix, ...]
    whole: bool

    def sentence(self, first: str, other: str) -> str:
        """The difference in one sentence, by what the checkpoints are called."""
        count = len(self.names) + len(self.stacks)
        return (
            f"{other} holds {count:,} tensor{'s' * (count != 1)} of {first} under other names: "
            f"{' and '.join(self.kinds)}."
        )

    @property
    def patterns(self) -> Mapping[str, str]:
        """What `rename` in a recipe says of it; empty where patterns cannot say it."""
        longest = sorted(self.prefixes, key=lambda prefix: -len(prefix.in_other))
        said = {f"{one.in_other}*": f"{one.in_first}*" for one in longest}
        is_said = len(self.kinds) == len(said) and not self.stacks
        return said if is_said and (self.whole or "*" not in said) else {}

    def remedy(self, other: str) -> str:
        """What to do about it, in a sentence."""
        if not self.patterns:
            return (
                "Load both into one class of the library that they come from, and save them again."
            )
        said = ", ".join(f"'{old}': '{new}'" for old, new in self.patterns.items())
        return f"If they are the same, say so in a recipe: {{path: {other}, rename: {{{said}}}}}."

    def explained(self) -> tuple[frozenset[str], frozenset[str]]:
        """The names of the first, and those of the other, that mean the same tensors."""
        first, other = set(self.names.values()), set(self.names)
        for stack in self.stacks:
            whole, parts = (first, other) if stack.whole_in == "first" else (other, first)
            whole.add(stack.whole)
            parts.update(stack.parts)
        return frozenset(first), frozenset(other)


def find_renaming(
    first: Mapping[str, TensorEntry], other: Mapping[str, TensorEntry]
) -> Renaming | None:
    """How the other's names stand for the first's; None where that cannot be said.

    Prefixes count only where they explain more than half of the smaller checkpoint: two heads of
    the same shape are not one tensor under two names.
    """
    if first.keys() == other.keys():
        return None
    here, there = _spelled(first, other), _spelled(other, first)
    met = {name: name for name in there if name in here}
    rest_here = {name: shape for name, (_, shape) in here.items() if name not in met}
    rest_there = {name: shape for name, (_, shape) in there.items() if name not in met}
    prefixes, moved = find_prefixes(rest_here, rest_there)
    if 2 * _count(moved, there) > min(len(first), len(other)):
        met |= moved
    else:
        prefixes = ()
    if not met:
        return None
    found = _renaming(met, here, there, prefixes)
    if found is None:
        return None
    _, explained = found.explained()
    return replace(found, whole=all(n in first or n in explained for n in other))


_Names = dict[str, Spelled]
_Group = tuple[_Names, tuple[int, ...] | None]


def _count(moved: Mapping[str, str], there: Mapping[str, _Group]) -> int:
    return sum(len(there[name][0]) for name in moved)


def _spelled(
    entries: Mapping[str, TensorEntry], other: Mapping[str, TensorEntry]
) -> dict[str, _Group]:
    """Canonical name -> the names that are written so and that the other lacks, and their shape.

    Several names are the parts of one stack; several of anything else keep the names they have.
    """
    groups: dict[str, _Names] = {}
    for name in entries:
        if name not in other:
            found = spell(name, entries.keys())
            groups.setdefault(found.canonical, {})[name] = found
    told: dict[str, _Group] = {}
    for canonical, names in groups.items():
        if len(names) == 1:
            ((name, found),) = names.items()
            told[canonical] = (names, None if found.part else entries[name].shape)
        elif all(found.part for found in names.values()):
            told[canonical] = (names, None)
        else:
            for name in names:
                told[name] = ({name: Spelled(name)}, entries[name].shape)
    return told


def _renaming(
    met: Mapping[str, str],
    here: Mapping[str, _Group],
    there: Mapping[str, _Group],
    prefixes: tuple[Prefix, ...],
) -> Renaming | None:
    """From canonical names of the other -> of the first."""
    names: dict[str, str] = {}
    stacks: list[Stack] = []
    styles: Counter[str] = Counter()
    for of_other, of_first in met.items():
        others, firsts = there[of_other][0], here[of_first][0]
        styles.update(_styles(others, firsts))
        if _is_whole(others) and _is_whole(firsts):
            names[next(iter(others))] = next(iter(firsts))
        elif _is_whole(firsts):
            stacks.append(_stack(firsts, others, "first"))
        elif _is_whole(others):
            stacks.append(_stack(others, firsts, "other"))
        elif pairs := _paired(others, firsts):
            names |= pairs
    if not names and not stacks:
        return None
    kinds = (*(str(prefix) for prefix in prefixes), *styles)
    return Renaming(names=names, stacks=tuple(stacks), kinds=kinds, prefixes=prefixes, whole=False)


def _is_whole(names: _Names) -> bool:
    return all(found.part is None for found in names.values())


def _stack(whole: _Names, parts: _Names, whole_in: Literal["first", "other"]) -> Stack:
    ordered = sorted(parts, key=lambda name: parts[name].part or (0, 0))
    return Stack(whole=next(iter(whole)), parts=tuple(ordered), whole_in=whole_in)


def _paired(others: _Names, firsts: _Names) -> dict[str, str]:
    """Experts that are one by one in both, under two names."""
    by_part = {found.part: name for name, found in firsts.items()}
    return {n: by_part[found.part] for n, found in others.items() if found.part in by_part}


def _styles(others: _Names, firsts: _Names) -> Iterator[str]:
    """How the other writes these names, where the first writes them otherwise."""
    own, wanted = _merged(others.values()), _merged(firsts.values())
    for family in dict.fromkeys((*own, *wanted)):
        mine, its = own.get(family), wanted.get(family)
        if mine == its:
            continue
        if family in (*WRAPPERS, "module"):
            yield f"with {mine}" if mine else f"without {its}"
        else:
            yield f"{mine or _USUAL.get(family)} for {its or _USUAL.get(family)}"


def _merged(found: Iterable[Spelled]) -> dict[str, str]:
    return {family: style for one in found for family, style in one.styles.items()}
