"""Whether checkpoints have the same tensors: told from headers, nothing of a tensor is read."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ....checkpoints.entry import Checkpoint, TensorEntry
from ....checkpoints.inspection import dtype_text
from ....checkpoints.names.renaming import find_renaming
from ....checkpoints.roles import Role, classify

BASE = "the base"
"""What the base is called beside the names of models."""
_NAMED = 3
"""Tensors, or models, that a sentence names."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TensorDifference:
    """A tensor that not all models have alike.

    Attributes:
        tensor: its name.
        kind: it is missing somewhere, or has several shapes.
        models: those that lack it, or those whose shape is not the most frequent one.
        others: the rest.
        said: what differs, in words that follow the name.
    """

    tensor: str
    kind: str
    models: tuple[str, ...]
    others: tuple[str, ...]
    said: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Renamed:
    """Two checkpoints that hold the same tensors under different names.

    Attributes:
        one: the first model.
        other: the one whose names differ from it.
        tensors: how many have another name.
        said: how the names differ, in a sentence.
    """

    one: str
    other: str
    tensors: int
    said: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Architecture:
    """What headers tell.

    Attributes:
        same: whether all models have the same tensors in the same shapes.
        tensors: how many all of them have alike.
        shared: entries of those over all entries of the largest model.
        differences: the others, in the order of the first model that has them.
        lacking: tensors of the models that the base lacks or has in another shape.
        based: entries of tensors that the base has too, over those of all that models share.
        renamed: a model, or the base, whose names differ from the first model's.
        dtypes: of each model, the dtype of most of its entries.
        batch_norm: layers that keep statistics of batches, by name.
    """

    same: bool
    tensors: int
    shared: float
    differences: tuple[TensorDifference, ...]
    lacking: tuple[str, ...]
    based: float
    renamed: tuple[Renamed, ...]
    dtypes: tuple[str, ...]
    batch_norm: tuple[str, ...]


def compare_architectures(
    models: Sequence[Checkpoint],
    names: Sequence[str],
    base: Checkpoint | None = None,
    private: Sequence[str] = (),
) -> Architecture:
    """Compare the headers of checkpoints; tensors that are each model's own are left out.

    Args:
        models: two or more, opened.
        names: what they are called.
        base: what they were fine-tuned from.
        private: names of tensors that are each model's own, such as heads.
    """
    own = frozenset(private)
    every = dict.fromkeys(name for one in models for name in one.entries if name not in own)
    found = [(name, [one.entries.get(name) for one in models]) for name in every]
    differences = [one for name, entries in found for one in _difference(name, entries, names)]
    apart = {one.tensor for one in differences}
    alike = [entries[0] for name, entries in found if name not in apart]
    common = [entry for entry in alike if entry is not None]
    most = max(math.fsum(e.numel for n, e in one.entries.items() if n not in own) for one in models)
    lacking = () if base is None else tuple(_lacking(common, base))
    whole = sum(entry.numel for entry in common)
    there = whole - sum(entry.numel for entry in common if entry.name in set(lacking))
    others = [*zip(names[1:], models[1:], strict=True), *([] if base is None else [(BASE, base)])]
    return Architecture(
        same=not differences,
        tensors=len(common),
        shared=whole / most if most else 0.0,
        differences=tuple(differences),
        lacking=lacking,
        based=there / whole if base is not None and whole else 0.0,
        renamed=tuple(
            found for name, one in others for found in _renamed(names[0], models[0], name, one)
        ),
        dtypes=tuple(map(_dtype, models)),
        batch_norm=tuple(_batch_norm(common)),
    )


def _difference(
    name: str, entries: Sequence[TensorEntry | None], names: Sequence[str]
) -> Iterator[TensorDifference]:
    lacking = [called for called, one in zip(names, entries, strict=True) if one is None]
    if lacking:
        yield TensorDifference(
            tensor=name,
            kind="missing",
            models=tuple(lacking),
            others=tuple(called for called in names if called not in lacking),
            said=f"is missing in {some(lacking)}",
        )
        return
    shapes = [one.shape for one in entries if one is not None]
    usual = max(shapes, key=shapes.count)
    if odd := [k for k, shape in enumerate(shapes) if shape != usual]:
        other = next(k for k, shape in enumerate(shapes) if shape == usual)
        each = [f"{shapes[k]} in {names[k]}" for k in odd]
        yield TensorDifference(
            tensor=name,
            kind="shape",
            models=tuple(names[k] for k in odd),
            others=tuple(names[k] for k in range(len(names)) if k not in odd),
            said=f"is {usual} in {names[other]} but {some(each)}",
        )


def _lacking(common: Sequence[TensorEntry], base: Checkpoint) -> Iterator[str]:
    for entry in common:
        there = base.entries.get(entry.name)
        if there is None or there.shape != entry.shape:
            yield entry.name


def _renamed(one: str, model: Checkpoint, name: str, other: Checkpoint) -> Iterator[Renamed]:
    if found := find_renaming(model.entries, other.entries):
        yield Renamed(
            one=one,
            other=name,
            tensors=len(found.names) + len(found.stacks),
            said=found.sentence(one, name),
        )


def _dtype(model: Checkpoint) -> str:
    total = dict[str, int]()
    for entry in model.entries.values():
        total[dtype_text(entry)] = total.get(dtype_text(entry), 0) + entry.numel
    return max(total, key=lambda name: total[name])


def _batch_norm(common: Sequence[TensorEntry]) -> Iterator[str]:
    """A layer's two statistics count once."""
    stats = [e.name for e in common if classify(e.name, e.shape, e.dtype) == Role.NORM_STAT]
    yield from dict.fromkeys(name.rpartition(".")[0] for name in stats)


def some(words: Sequence[str]) -> str:
    """A few of them, and how many more there are.

    Example:
        >>> some(["a", "b", "c", "d", "e"])
        'a, b, c and 2 more'
    """
    more = f" and {len(words) - _NAMED} more" if len(words) > _NAMED else ""
    return ", ".join(words[:_NAMED]) + more
