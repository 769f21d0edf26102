"""What is in a checkpoint, and do several of them fit and come from one origin."""

import math
from collections import Counter
from collections.abc import Container, Iterator, Sequence
from dataclasses import asdict, dataclass

from torch import Tensor

from .beside.networks import Sameness, compare_networks
from .entry import Checkpoint, TensorEntry
from .names.renaming import find_renaming
from .roles import Role, classify, role_of
from .sampling import sample, thinned

_SHARED = 0.5
"""Matrices of networks from different starts have a cosine near 0; fine-tunes of one, near 1."""


@dataclass(frozen=True, slots=True)
class RoleTotal:
    """All tensors of one role and dtype."""

    role: Role
    dtype: str
    tensors: int
    elements: int
    bytes: int

    def as_dict(self) -> dict[str, object]:
        """Plain values."""
        return {**asdict(self), "role": self.role.value}


@dataclass(frozen=True, slots=True)
class Fit:
    """How a model compares with the first one.

    Attributes:
        label: the model.
        names: that it has the first one's tensors under other names, in a sentence; '' where not.
        differences: tensors that only one has, or whose shapes differ, in sentences; without
            those that the sentence on names tells.
        cosine: between samples of the matrices of both; None where none can be compared.
        same_origin: whether the cosine says that both were trained from the same start.
        sameness: what the configurations and tokenizers say, which tensors do not.
    """

    label: str
    names: str
    differences: tuple[str, ...]
    cosine: float | None
    same_origin: bool
    sameness: Sameness

    def as_dict(self) -> dict[str, object]:
        """Plain values."""
        return {
            "model": self.label,
            "names": self.names,
            "differences": list(self.differences),
            "cosine": self.cosine,
            "same_origin": self.same_origin,
            "unlike": list(self.sameness.unlike),
            "notes": list(self.sameness.notes),
        }


def role_totals(checkpoint: Checkpoint) -> tuple[RoleTotal, ...]:
    """Tensors, elements and bytes by role and dtype, largest first."""
    totals: dict[tuple[Role, str], Counter[str]] = {}
    for entry in checkpoint.entries.values():
        role = role_of(entry)
        total = totals.setdefault((role, dtype_text(entry)), Counter())
        total.update(tensors=1, elements=entry.numel, bytes=entry.nbytes)
    listed = [
        RoleTotal(r, d, t["tensors"], t["elements"], t["bytes"]) for (r, d), t in totals.items()
    ]
    return tuple(sorted(listed, key=lambda total: -total.bytes))


def dtype_text(entry: TensorEntry) -> str:
    """The dtype's name without torch's prefix."""
    return str(entry.dtype).removeprefix("torch.")


def fit(first: Checkpoint, other: Checkpoint) -> Fit:
    """Compare a model with the first: names, shapes, and the direction of sampled matrices."""
    renaming = find_renaming(first.entries, other.entries)
    names = "" if renaming is None else renaming.sentence(first.label, other.label)
    told = frozenset[str]() if renaming is None else frozenset[str]().union(*renaming.explained())
    differences = tuple(_differences(first, other, told))
    cosine = _cosine(first, other)
    same = cosine is not None and cosine > _SHARED
    sameness = compare_networks([first, other])
    return Fit(other.label, names, differences, cosine, same, sameness)


def _differences(first: Checkpoint, other: Checkpoint, told: Container[str]) -> Iterator[str]:
    for name, entry in first.entries.items():
        there = other.entries.get(name)
        if there is None and name in told:
            continue
        if there is None:
            yield f"'{name}' is missing in {other.label}."
        elif there.shape != entry.shape:
            yield f"'{name}' in {other.label} is {there.shape}; {first.label} has {entry.shape}."
    for name in other.entries:
        if name not in first.entries and name not in told:
            yield f"'{name}' is only in {other.label}."


def _cosine(first: Checkpoint, other: Checkpoint) -> float | None:
    shared = [
        (entry, other.entries[name])
        for name, entry in first.entries.items()
        if name in other.entries
        and other.entries[name].shape == entry.shape
        and entry.dtype.is_floating_point
        and classify(entry.name, entry.shape, entry.dtype) in (Role.MATRIX, Role.CONV)
    ]
    if not shared:
        return None
    found = [_cosine_of(sample(a), sample(b)) for a, b in thinned(shared)]
    return math.fsum(found) / len(found)


def _cosine_of(a: Tensor, b: Tensor) -> float:
    scale = math.sqrt((a @ a).item() * (b @ b).item())
    return (a @ b).item() / scale if scale > 0 else 0.0


def every_fit(checkpoints: Sequence[Checkpoint]) -> tuple[Fit, ...]:
    """Each further model against the first."""
    return tuple(fit(checkpoints[0], other) for other in checkpoints[1:])
