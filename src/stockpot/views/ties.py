"""Tied tensors: several names of one tensor, of which files store one or all.

Tied is what shares storage, or what transformers ties by its configuration. A head that is stored
with bytes of its own is none, whatever the configuration says: transformers 5 loads it as it is.
"""

import itertools
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum, auto

from ..checkpoints.beside.config import says_tied
from ..checkpoints.entry import Checkpoint, TensorEntry, same_bytes

Names = Mapping[str, TensorEntry]

HEADS = re.compile(
    r"(.*\.)?(lm_head(\.decoder|\.out_proj)?|embed_out|output_projection|proj_out|vocab_projector"
    r"|generator_lm_head|pred_layer\.proj|lm_loss|predictions\.decoder|decoder|head(\.decoder)?"
    r"|output)\.weight"
)
"""What output heads are called that transformers ties."""
EMBEDDINGS = re.compile(
    r"(.*\.)?(shared|embed_tokens|wte|embed_in|word_embeddings?|tok_embeddings|token_embedding"
    r"|(transformer|rwkv)\.embeddings)\.weight"
)
"""What the input embeddings are called that they are tied to."""
STACKS = re.compile(r"(?P<stem>.*\.)?((text_)?(encoder|decoder))\.embed_tokens\.weight")
"""The embeddings of encoders and decoders, tied to `shared`."""
HEAD_BIASES = re.compile(r"(?P<stem>(?:.*\.)?(?:predictions|lm_head))\.decoder\.bias")


class _State(Enum):
    """What one checkpoint has of a pair of names."""

    TIED = auto()  # both are one tensor, whichever of them is stored
    OWN = auto()  # the second name has a tensor of its own
    LACKS = auto()  # the second name is not there, and nothing says that it is tied
    NEITHER = auto()  # the first is not there either


@dataclass(frozen=True, slots=True)
class Tied:
    """Checkpoints that have the same names of tied tensors.

    Attributes:
        checkpoints: in the order in which they were given.
        untied: second names that some of their configurations tie and others do not: the output has
            tensors of their own for them, and its configuration must say so.
        left_out: second names that the output does not have, each with the first.
        notes: what a user should know.
    """

    checkpoints: tuple[Checkpoint, ...]
    left_out: Mapping[str, str]
    untied: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def reconciled(checkpoints: Sequence[Checkpoint]) -> Tied:
    """Tied tensors under the names that all have, so that each is merged once.

    Where all that store the second name of a pair are networks of transformers that tie it, it is
    left out, as their files have it. Where one has a tensor of its own there, the others get
    theirs under both names. A checkpoint that stores one name of a pair that others tie gets both.
    """
    names: dict[str, TensorEntry] = {}
    for checkpoint in checkpoints:
        for name, entry in checkpoint.entries.items():
            names.setdefault(name, entry)
    pairs = tuple(_pairs(names, checkpoints))
    if not pairs:  # of a hundred thousand names nothing is copied
        return Tied(tuple(checkpoints), {}, (), ())
    entries = [dict(checkpoint.entries) for checkpoint in checkpoints]
    configured = [says_tied(checkpoint) for checkpoint in checkpoints]
    left_out: dict[str, str] = {}
    untied: list[str] = []
    notes: list[str] = []
    for second, first, by_library in pairs:
        states = [
            _state(e, second, first, c, by_library)
            for e, c in zip(entries, configured, strict=True)
        ]
        if _State.OWN in states:
            for have, state in zip(entries, states, strict=True):
                if state is _State.TIED:
                    _give(have, second, first)
            ties = [c for c, s in zip(configured, states, strict=True) if s is _State.TIED]
            untied += [second] if any(ties) and by_library and not _always(second) else []
            notes += _ignored(checkpoints, states, configured, second, first, by_library)
        elif by_library and _all_tie(second, entries, configured):
            left_out[second] = first
            for have in entries:
                _drop(have, second, first)
        else:
            for have, state in zip(entries, states, strict=True):
                if state in (_State.LACKS, _State.TIED):
                    _give(have, second, first)
    seen = {
        id(c): c if e == c.entries and list(e) == list(c.entries) else replace(c, entries=e)
        for c, e in zip(checkpoints, entries, strict=True)
    }
    alike = tuple(seen[id(c)] for c in checkpoints)
    return Tied(alike, left_out, tuple(untied), tuple(dict.fromkeys(notes)))


def _all_tie(second: str, entries: Sequence[Names], configured: Sequence[bool | None]) -> bool:
    """Whether all that store a second name are networks of transformers that tie it."""
    return all(
        config or (config is False and _always(second))
        for have, config in zip(entries, configured, strict=True)
        if second in have
    )


def _pairs(names: Names, checkpoints: Sequence[Checkpoint]) -> Iterator[tuple[str, str, bool]]:
    """Names of one tensor: the second, the first, and whether transformers ties such names."""
    known: set[str] = set()
    for second, entry in names.items():
        first = _first_of(second, entry, names)
        if first is not None:
            known.add(second)
            yield second, first, True
    for checkpoint in checkpoints:
        for second, entry in checkpoint.entries.items():
            if entry.alias_of is not None and second not in known:
                known.add(second)
                yield second, entry.alias_of, False


def _first_of(second: str, entry: TensorEntry, names: Names) -> str | None:
    """The embedding, or the bias, that transformers ties a name to."""
    if match := STACKS.fullmatch(second):
        shared = f"{match['stem'] or ''}shared.weight"
        return shared if _alike(entry, names.get(shared)) else None
    if match := HEAD_BIASES.fullmatch(second):
        bias = f"{match['stem']}.bias"
        return bias if _alike(entry, names.get(bias)) else None
    if len(entry.shape) != 2 or not HEADS.fullmatch(second):
        return None
    found = [name for name in names if name != second and EMBEDDINGS.fullmatch(name)]
    found = [name for name in found if _alike(entry, names[name])]
    shared = [name for name in found if name.endswith("shared.weight")]
    return max(shared or found, key=lambda name: _common(name, second), default=None)


def _alike(entry: TensorEntry, other: TensorEntry | None) -> bool:
    return other is not None and other.shape == entry.shape


def _common(name: str, other: str) -> int:
    """How many parts two names begin with alike."""
    parts = zip(name.split("."), other.split("."), strict=False)
    return sum(1 for _ in itertools.takewhile(lambda pair: pair[0] == pair[1], parts))


def _state(
    have: Names, second: str, first: str, configured: bool | None, by_library: bool
) -> _State:
    if second not in have:
        if first not in have:
            return _State.NEITHER
        return _State.TIED if by_library and configured else _State.LACKS
    one, two = have.get(first), have[second]
    if one is None:
        return _State.TIED if by_library and configured else _State.OWN
    if _alias(one, two):
        return _State.TIED
    if not by_library or (configured is False and not _always(second)):
        return _State.OWN
    return _State.TIED if same_bytes(one, two) else _State.OWN


def _always(second: str) -> bool:
    """Whether transformers ties it whatever the configuration says."""
    return bool(STACKS.fullmatch(second) or HEAD_BIASES.fullmatch(second))


def _alias(one: TensorEntry, two: TensorEntry) -> bool:
    same = one.source is two.source and one.offset == two.offset and one.shape == two.shape
    return same and one.numel > 0


def _give(have: dict[str, TensorEntry], second: str, first: str) -> None:
    """Both names, of one tensor."""
    if first not in have:
        have[first] = replace(have[second], name=first, alias_of=second)
    elif second not in have or not _alias(have[first], have[second]):
        alias = have[first].alias_of or first
        have[second] = replace(have[first], name=second, alias_of=alias)


def _drop(have: dict[str, TensorEntry], second: str, first: str) -> None:
    """The first name alone, in the place of the one that was stored."""
    if second not in have:
        return
    if first not in have:
        moved = replace(have[second], name=first)
        items = [(first, moved) if n == second else (n, e) for n, e in have.items()]
        have.clear()
        have.update(items)
    have.pop(second, None)
    for name, entry in have.items():
        if entry.alias_of in (first, second):
            have[name] = replace(entry, alias_of=None if name == first else first)


def _ignored(
    checkpoints: Sequence[Checkpoint],
    states: Sequence[_State],
    configured: Sequence[bool | None],
    second: str,
    first: str,
    by_library: bool,
) -> Iterator[str]:
    """Where a configuration ties what the file stores apart."""
    for checkpoint, state, config in zip(checkpoints, states, configured, strict=True):
        apart = first in checkpoint.entries and second in checkpoint.entries
        if by_library and config and state is _State.OWN and apart:
            yield (
                f"the configuration of {checkpoint.label} ties '{second}' to '{first}', but both "
                "are stored and differ: the head is merged as one of its own, as transformers 5 "
                "loads it (4 ignores it)."
            )
