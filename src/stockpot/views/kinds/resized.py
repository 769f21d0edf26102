"""Tensors made larger by zeros, or smaller by leaving out what lies at their ends."""

from dataclasses import dataclass
from typing import Annotated

import torch
from annotated_types import Ge

from ...checkpoints.entry import Checkpoint, TensorEntry
from ...checkpoints.formats.untrusted import shown
from ..sources.rows import MADE, Layout, Rows
from ..view import View, with_entries

Sizes = tuple[Annotated[int, Ge(1)], ...]


@dataclass(frozen=True, slots=True)
class Padded(View):
    """Tensors with zeros after their last rows, and after the last columns of each row.

    Args:
        tensors: globs of the names of those that are padded.
        shape: what their first dimension becomes; and their second, where two are given.
    """

    tensors: tuple[str, ...]
    shape: Sizes

    def __call__(self, checkpoint: Checkpoint, *others: Checkpoint) -> Checkpoint:
        """The checkpoint with larger tensors.

        Raises:
            CheckpointError: a tensor is larger already, or has fewer dimensions.
        """
        self.expect_beside(checkpoint, others, 0)
        return _resized(self, checkpoint, self.tensors, self.shape)


@dataclass(frozen=True, slots=True)
class Cropped(View):
    """The first rows of tensors, and the first columns of each row.

    Args:
        tensors: globs of the names of those that are cropped.
        shape: how many rows are left; and how many columns, where two numbers are given.
    """

    tensors: tuple[str, ...]
    shape: Sizes

    def __call__(self, checkpoint: Checkpoint, *others: Checkpoint) -> Checkpoint:
        """The checkpoint with smaller tensors.

        Raises:
            CheckpointError: a tensor is smaller already, or has fewer dimensions.
        """
        self.expect_beside(checkpoint, others, 0)
        return _resized(self, checkpoint, self.tensors, self.shape)


def _resized(
    view: Padded | Cropped, checkpoint: Checkpoint, globs: tuple[str, ...], shape: Sizes
) -> Checkpoint:
    changed = {
        name: _of_shape(view, checkpoint, entry, shape)
        for name, entry in view.chosen(checkpoint, globs).items()
        if entry.alias_of is None
    }
    return with_entries(checkpoint, changed)


def _of_shape(
    view: Padded | Cropped, checkpoint: Checkpoint, entry: TensorEntry, shape: Sizes
) -> TensorEntry:
    stored, count = entry.shape, len(shape)
    grows = isinstance(view, Padded)
    fits = len(stored) >= count <= 2 and all(
        new >= old if grows else new <= old for new, old in zip(shape, stored, strict=False)
    )
    if not fits or not shape:
        raise view.refusal(
            checkpoint,
            f"{shown(entry.name)} is {stored}; shape {shape} must be one or two dimensions, none "
            f"{'smaller' if grows else 'larger'}.",
        )
    high, wide, *_ = (*stored, 1, 1)
    inner = torch.Size(stored[2:]).numel()
    columns = _taken(wide, shape[1]) if count == 2 and shape[1] != wide else None
    layout = Layout(wide, inner, _taken(high, shape[0]), columns)
    return TensorEntry(
        entry.name,
        entry.dtype,
        (*shape, *stored[count:]),
        Rows(entry, layout),
        0,
        stored=entry.stored,
        made_of=(entry,),
    )


def _taken(there: int, wanted: int) -> torch.Tensor:
    """The numbers of the first ones, and MADE beyond them."""
    numbers = torch.arange(wanted)
    numbers[there:] = MADE
    return numbers
