"""Checkpoints as they are merged: names and ties alike, complex numbers as pairs, weights as used.

A view changes which tensors there are and what is read of them. It never changes a file, and a
checkpoint in which there is nothing to change is handed on as it is.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from ..checkpoints.entry import Checkpoint, TensorEntry
from .matched import matched, under_first
from .parametrised import Parametrised, Pruned, WeightNorm, parametrised_in
from .sources.computed import masked, real_parts, weight_norm
from .ties import reconciled


@dataclass(frozen=True, slots=True)
class Seen:
    """Models and base as they are merged.

    Attributes:
        models: in their order.
        base: if there is one.
        statistics: of each model's data, if there are any.
        parametrised: weights that some of them compute from several tensors.
        left_out: tied names that the output does not have, each with the one that it has.
        untied: names that some of their configurations tie and the output does not.
        notes: what a user should know.
        matched: those of them that tell of models seen under the names of the first.
    """

    models: tuple[Checkpoint, ...]
    base: Checkpoint | None
    statistics: tuple[Checkpoint, ...]
    parametrised: tuple[Parametrised, ...]
    left_out: Mapping[str, str]
    untied: tuple[str, ...]
    notes: tuple[str, ...]
    matched: tuple[str, ...] = ()


def as_merged(
    models: Sequence[Checkpoint], base: Checkpoint | None, statistics: Sequence[Checkpoint] = ()
) -> Seen:
    """What the checkpoints of a merge hold, as their networks use it."""
    alike = matched([*models, *([] if base is None else [base])])
    tied = reconciled(alike.checkpoints)
    found = dict.fromkeys(p for c in tied.checkpoints for p in parametrised_in(c.entries))
    views = {id(c): _changed(c, _as_real(c) | _effective(c)) for c in tied.checkpoints}
    seen = [views[id(checkpoint)] for checkpoint in tied.checkpoints]
    of_data = [
        one if renaming is None else under_first(one, alike.checkpoints[0], renaming)
        for one, renaming in zip(statistics, alike.renamings, strict=False)
    ]
    measured = [_changed(one, _as_real(one)) for one in (*of_data, *statistics[len(of_data) :])]
    return Seen(
        models=tuple(seen[: len(models)]),
        base=None if base is None else seen[-1],
        statistics=tuple(measured),
        parametrised=tuple(found),
        left_out=tied.left_out,
        untied=tied.untied,
        notes=alike.notes + tied.notes,
        matched=alike.notes,
    )


def alike(checkpoints: Sequence[Checkpoint]) -> tuple[Checkpoint, ...]:
    """The checkpoints under the names and ties that they have in a merge, with notes of it."""
    renamed = matched(checkpoints)
    seen = zip(reconciled(renamed.checkpoints).checkpoints, renamed.said, strict=True)
    return tuple(replace(one, notes=(*one.notes, *said)) if said else one for one, said in seen)


def _as_real(checkpoint: Checkpoint) -> dict[str, TensorEntry]:
    entries = checkpoint.entries
    return {name: real_parts(entry) for name, entry in entries.items() if entry.dtype.is_complex}


def _effective(checkpoint: Checkpoint) -> dict[str, TensorEntry]:
    entries = checkpoint.entries
    changed: dict[str, TensorEntry] = {}
    for one in parametrised_in(entries):
        if isinstance(one, WeightNorm):
            changed[one.direction] = weight_norm(entries[one.size], entries[one.direction])
        elif isinstance(one, Pruned):
            changed[one.weight] = masked(entries[one.weight], entries[one.mask])
    return changed


def _changed(checkpoint: Checkpoint, changed: Mapping[str, TensorEntry]) -> Checkpoint:
    if not changed:
        return checkpoint
    entries = {name: changed.get(name, entry) for name, entry in checkpoint.entries.items()}
    return replace(checkpoint, entries=entries)
