"""What a view is: a frozen value, and a function from checkpoints to a checkpoint.

    Cast(dtype="float32")(checkpoint) -> Checkpoint

Nothing is read when a view is applied, and nothing is ever written: tensors are computed when they
are read. Laws: the same bits for every slicing, order and worker; memory within a tile; every
tensor says what it was stored as and of what it is made; sources pickle.
"""

import fnmatch
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar, Self, cast

from ..checkpoints.entry import Checkpoint, TensorEntry
from ..checkpoints.formats.untrusted import shown
from ..errors import CheckpointError
from ..values.fields import check_fields, kebab_name, nearest


class View(ABC):
    """A view of one checkpoint; some look at others beside it.

    Subclasses are final frozen dataclasses, whose fields are checked when one is made.

    Attributes:
        beside_fields: the fields that name other checkpoints by their paths: one path, several, or
            None.
    """

    __slots__ = ()
    beside_fields: ClassVar[tuple[str, ...]] = ()

    def __post_init__(self) -> None:
        check_fields(self)

    @property
    def beside(self) -> tuple[str, ...]:
        """The paths of the checkpoints that it looks at beside the one that it is a view of."""
        found: list[str] = []
        for name in self.beside_fields:
            value = cast(str | tuple[str, ...] | None, getattr(self, name))
            found += [value] if isinstance(value, str) else (value or ())
        return tuple(found)

    def moved(self, place: Callable[[str], str]) -> Self:
        """The same view where the checkpoints beside it have other paths."""
        changes: dict[str, object] = {}
        for name in self.beside_fields:
            value = cast(str | tuple[str, ...] | None, getattr(self, name))
            if isinstance(value, str):
                changes[name] = place(value)
            elif value is not None:
                changes[name] = tuple(map(place, value))
        return cast(Self, replace(cast(Any, self), **changes)) if changes else self

    @abstractmethod
    def __call__(self, checkpoint: Checkpoint, *others: Checkpoint) -> Checkpoint:
        """The checkpoint as it is seen.

        Args:
            checkpoint: what is seen.
            others: what it looks at beside it, in the order of `beside`.

        Raises:
            CheckpointError: it has no such tensors, layers or rows, or they do not fit.
        """

    def refusal(self, checkpoint: Checkpoint, problem: str) -> CheckpointError:
        """An error of this view of a checkpoint; `problem` is a sentence."""
        return CheckpointError(f"{kebab_name(type(self))} of {checkpoint.label}: {problem}")

    def chosen(self, checkpoint: Checkpoint, globs: Sequence[str]) -> dict[str, TensorEntry]:
        """The tensors whose names match a glob, in their order.

        Raises:
            CheckpointError: a glob matches none.
        """
        found = dict[str, TensorEntry]()
        for glob in globs:
            matching = matched_names(glob, checkpoint.entries)
            if not matching:
                near = nearest(glob, checkpoint.entries)
                raise self.refusal(checkpoint, f"no tensor matches {shown(glob)}{near}")
            found |= {name: checkpoint.entries[name] for name in matching}
        return {name: entry for name, entry in checkpoint.entries.items() if name in found}

    def expect_beside(
        self, checkpoint: Checkpoint, others: Sequence[Checkpoint], count: int
    ) -> None:
        """Refuse another number of checkpoints beside it than the view looks at."""
        if len(others) != count:
            raise self.refusal(
                checkpoint, f"it looks at {count} checkpoints beside it, got {len(others)}."
            )


def matched_names(glob: str, names: Iterable[str]) -> list[str]:
    """The names that match a glob, case and all; a name matches itself whatever it holds."""
    match = re.compile(fnmatch.translate(glob)).match
    return [name for name in names if name == glob or match(name)]


def with_entries(
    checkpoint: Checkpoint, changed: Mapping[str, TensorEntry], *others: Checkpoint
) -> Checkpoint:
    """The checkpoint with other entries in place of some.

    A name that is tied to a changed one, and not changed itself, is that of the changed tensor: a
    file stores one tensor for both.
    """
    entries: dict[str, TensorEntry] = {}
    for name, entry in checkpoint.entries.items():
        first = changed.get(entry.alias_of or "")
        if name not in changed and first is not None:
            entries[name] = replace(first, name=name, alias_of=entry.alias_of)
        else:
            entries[name] = changed.get(name, entry)
    return made_of(checkpoint, entries, *others)


def made_of(
    checkpoint: Checkpoint, entries: Mapping[str, TensorEntry], *others: Checkpoint
) -> Checkpoint:
    """A checkpoint of these entries, which stands where the first one stood."""
    entries = {name: _from_there(entry, checkpoint.label) for name, entry in entries.items()}
    notes = (*checkpoint.notes, *(note for other in others for note in other.notes))
    files = tuple({id(file): file for c in (checkpoint, *others) for file in c.files}.values())
    headers = {key: value for c in (*others, checkpoint) for key, value in c.headers.items()}
    return replace(
        checkpoint,
        entries=entries,
        files=files,
        headers=headers,
        notes=notes,
        parts=tuple(part for one in (checkpoint, *others) for part in one.origins),
    )


def labelled(checkpoint: Checkpoint, label: str) -> Checkpoint:
    """The checkpoint under another label; its tensors still say whose they were."""
    entries = {name: _from_there(entry, label) for name, entry in checkpoint.entries.items()}
    return replace(checkpoint, label=label, entries=entries)


def _from_there(entry: TensorEntry, label: str) -> TensorEntry:
    """A tensor of another checkpoint says that it is made of it."""
    taken = entry.owner not in ("", label) and not entry.made_of
    return replace(entry, made_of=(entry,)) if taken else entry
