"""The same network under other names, seen under the names of the first model.

What `find_renaming` says one to one is done: prefixes that one has and the other has not, two ways
to write one parameter, experts one by one or stacked. Nothing is matched where a name could mean
two things, where the shapes of a stack do not fit, or where two prefixes have nothing in common, as
those of two towers of a network: a recipe's `rename` says that they are the same.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from ..checkpoints.entry import Checkpoint, TensorEntry
from ..checkpoints.names.renaming import Renaming, Stack, find_renaming
from .sources.runs import joined, part
from .view import made_of


@dataclass(frozen=True, slots=True)
class Matched:
    """Checkpoints under the names of the first.

    Attributes:
        checkpoints: in the order in which they were given.
        renamings: for each the renaming that was carried out; None where there was none.
        said: for each a sentence on that; nothing where there was none.
    """

    checkpoints: tuple[Checkpoint, ...]
    renamings: tuple[Renaming | None, ...]
    said: tuple[tuple[str, ...], ...]

    @property
    def notes(self) -> tuple[str, ...]:
        """The sentences, each once."""
        return tuple(dict.fromkeys(text for some in self.said for text in some))


def matched(checkpoints: Sequence[Checkpoint]) -> Matched:
    """The checkpoints as they are, but for those that hold the first one's network otherwise."""
    first, *_ = checkpoints
    known: dict[int, tuple[Checkpoint, Renaming | None]] = {id(first): (first, None)}
    for checkpoint in checkpoints:
        if id(checkpoint) in known:
            continue
        renaming = one_to_one(first, checkpoint)
        if renaming is None:
            known[id(checkpoint)] = (checkpoint, None)
            continue
        known[id(checkpoint)] = (under_first(checkpoint, first, renaming), renaming)
    seen = [known[id(checkpoint)] for checkpoint in checkpoints]
    said = tuple(
        () if r is None else (f"{r.sentence(first.label, c.label)} They are matched.",)
        for c, r in seen
    )
    return Matched(tuple(c for c, _ in seen), tuple(r for _, r in seen), said)


def one_to_one(first: Checkpoint, other: Checkpoint) -> Renaming | None:
    """How the names of one stand for those of the other, where that is beyond doubt."""
    found = find_renaming(first.entries, other.entries)
    if found is None or not all(prefix.is_related for prefix in found.prefixes):
        return None
    if len(set(found.names.values())) < len(found.names):
        return None
    if not all(_fits(stack, first, other) for stack in found.stacks):
        return None
    left = other.entries.keys() - found.explained()[1]
    gained = {*found.names.values(), *_gained(found)}
    return None if left & gained else found


def _gained(renaming: Renaming) -> set[str]:
    """Names that the stacks have in the first."""
    return {
        name
        for stack in renaming.stacks
        for name in ((stack.whole,) if stack.whole_in == "first" else stack.parts)
    }


def _fits(stack: Stack, first: Checkpoint, other: Checkpoint) -> bool:
    """Whether the parts, end to end, are the whole: [E, m, n] of E · k matrices of n columns."""
    has_whole, has_parts = (first, other) if stack.whole_in == "first" else (other, first)
    whole = has_whole.entries[stack.whole]
    parts = [has_parts.entries[name] for name in stack.parts]
    if len(whole.shape) != 3 or any(len(one.shape) != 2 for one in parts):
        return False
    experts, rows, columns = whole.shape
    if len(parts) % max(experts, 1) or len({one.dtype for one in parts}) > 1:
        return False
    each = len(parts) // experts
    return all(one.shape[1] == columns for one in parts) and all(
        sum(one.shape[0] for one in parts[k : k + each]) == rows for k in range(0, len(parts), each)
    )


def under_first(checkpoint: Checkpoint, first: Checkpoint, renaming: Renaming) -> Checkpoint:
    """A checkpoint under the names of the first; what the renaming does not tell stays."""
    entries: dict[str, TensorEntry] = {}
    replaced = _stacked(checkpoint, first, renaming)
    for name, entry in checkpoint.entries.items():
        if name in replaced:
            entries |= {one.name: one for one in replaced[name]}
        else:
            entries[renaming.names.get(name, name)] = _renamed(entry, renaming.names)
    return made_of(checkpoint, entries)


def _stacked(
    checkpoint: Checkpoint, first: Checkpoint, renaming: Renaming
) -> Mapping[str, tuple[TensorEntry, ...]]:
    """By name what stands in the place of a whole stack, or of a part of one."""
    found: dict[str, tuple[TensorEntry, ...]] = {}
    for stack in renaming.stacks:
        wanted = stack.parts if stack.whole_in == "first" else (stack.whole,)
        if any(name not in checkpoint.entries for name in wanted):
            continue  # statistics of some tensors only
        if stack.whole_in == "first":
            parts = [checkpoint.entries[name] for name in stack.parts]
            whole = joined(stack.whole, first.entries[stack.whole].shape, parts)
            found |= dict.fromkeys(stack.parts, ()) | {stack.parts[0]: (whole,)}
        else:
            whole, at = checkpoint.entries[stack.whole], 0
            cut: list[TensorEntry] = []
            for name in stack.parts:
                shape = first.entries[name].shape
                cut.append(part(name, shape, whole, at))
                at += math.prod(shape)
            found[stack.whole] = tuple(cut)
    return found


def _renamed(entry: TensorEntry, names: Mapping[str, str]) -> TensorEntry:
    alias = names.get(entry.alias_of, entry.alias_of) if entry.alias_of else None
    name = names.get(entry.name, entry.name)
    if name == entry.name and alias == entry.alias_of:
        return entry
    return replace(entry, name=name, alias_of=alias, made_of=(entry,))
