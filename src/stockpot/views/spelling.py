"""The two ways in which PyTorch names the parts of one weight, brought to the first model's."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from ..checkpoints.entry import Checkpoint
from .parametrised import Parametrised, SpectralNorm, WeightNorm, parametrised_in

HOOKED, NEW = "_", "parametrizations."
PARTS = {
    WeightNorm: (("g", "original0"), ("v", "original1")),
    SpectralNorm: (("orig", "original"), ("u", "0._u"), ("v", "0._v")),
}
"""What stands after the weight's name, as a hook of old and as a parametrization."""


def respelled(checkpoints: Sequence[Checkpoint]) -> tuple[tuple[Checkpoint, ...], tuple[str, ...]]:
    """The checkpoints under the names of the first, and a note for each that had others."""
    first, seen, notes = checkpoints[0], dict[int, Checkpoint](), list[str]()
    for checkpoint in checkpoints:
        if id(checkpoint) in seen:
            continue
        renamed: dict[str, str] = {}
        for one in parametrised_in(checkpoint.entries):
            other = _otherwise(one)
            if all(n in first.entries and n not in checkpoint.entries for n in other.values()):
                renamed |= other
        seen[id(checkpoint)] = _renamed(checkpoint, renamed) if renamed else checkpoint
        if renamed:
            old, new = next(iter(renamed.items()))
            notes.append(f"'{old}' of {checkpoint.label} is read as '{new}', its other spelling.")
    return tuple(seen[id(checkpoint)] for checkpoint in checkpoints), tuple(notes)


def _otherwise(one: Parametrised) -> Mapping[str, str]:
    """Each of its names in the other spelling."""
    match one:
        case WeightNorm():
            names = (one.size, one.direction)
        case SpectralNorm(right=str(right)):
            names = (one.weight, one.left, right)
        case _:
            return {}
    before, new, after = names[0].rpartition(NEW)
    parts = PARTS[type(one)]
    if new:
        weight = after.partition(".")[0]
        return {n: f"{before}{weight}_{old}" for n, (old, _) in zip(names, parts, strict=True)}
    before, dot, leaf = names[0].rpartition(".")
    weight = leaf.rpartition(HOOKED)[0]
    stem = f"{before}{dot}{NEW}{weight}"
    return {n: f"{stem}.{new}" for n, (_, new) in zip(names, parts, strict=True)}


def _renamed(checkpoint: Checkpoint, renamed: Mapping[str, str]) -> Checkpoint:
    entries = {
        renamed.get(name, name): replace(entry, name=renamed[name]) if name in renamed else entry
        for name, entry in checkpoint.entries.items()
    }
    return replace(checkpoint, entries=entries)
