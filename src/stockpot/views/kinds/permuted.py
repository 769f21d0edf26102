"""Tensors whose rows, and columns within a row, lie in another order."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from ...checkpoints.entry import Checkpoint, TensorEntry
from ...checkpoints.formats.untrusted import shown
from ...values.fields import nearest
from ..sources.rows import Layout, Rows
from ..view import View, with_entries
from .gathered import check_numbers, whole_numbers


@dataclass(frozen=True, slots=True)
class Permuted(View):
    """A network with its units in another order: what stands at i is what stood at p[i].

    Permutations lie in a safetensors file: `NAME:0` has that of the rows of the tensor NAME, and
    `NAME:1` that of its second dimension, whole numbers. Of a tensor with one dimension `NAME:0` is
    of its elements. What lies in further dimensions moves as it is.

    Args:
        file: the file of permutations.
    """

    beside_fields = ("file",)

    file: str | None = None

    def __call__(self, checkpoint: Checkpoint, *others: Checkpoint) -> Checkpoint:
        """The checkpoint in that order.

        Args:
            checkpoint: what is seen.
            others: one: the permutations, opened.

        Raises:
            CheckpointError: a permutation is of no tensor or dimension, or is none.
        """
        self.expect_beside(checkpoint, others, 1)
        wanted = dict[str, dict[int, Tensor]]()
        for label, order in whole_numbers(self, checkpoint, others[0]).items():
            name, _, axis = label.rpartition(":")
            if name not in checkpoint.entries or axis not in ("0", "1"):
                near = nearest(name or label, checkpoint.entries)
                raise self.refusal(
                    checkpoint,
                    f"{shown(label)} in {others[0].label} names no tensor and dimension (0 or 1) "
                    f"of it{near}",
                )
            wanted.setdefault(name, {})[int(axis)] = order
        changed = {
            name: self._ordered(checkpoint, checkpoint.entries[name], orders)
            for name, orders in wanted.items()
        }
        return with_entries(checkpoint, changed, *others)

    def _ordered(
        self, checkpoint: Checkpoint, entry: TensorEntry, orders: Mapping[int, Tensor]
    ) -> TensorEntry:
        for axis, order in orders.items():
            if axis >= len(entry.shape):
                raise self.refusal(
                    checkpoint, f"{shown(entry.name)} is {entry.shape} and has no dimension {axis}."
                )
            size = entry.shape[axis]
            check_numbers(self, checkpoint, entry.name, order, size)
            different = int(torch.bincount(order, minlength=size).count_nonzero())
            if len(order) != size or different != size:
                raise self.refusal(
                    checkpoint,
                    f"'{entry.name}:{axis}' is no permutation of {size}: it has {len(order)} "
                    f"numbers, {different} different ones.",
                )
        return permuted(entry, orders.get(0), orders.get(1))


def permuted(entry: TensorEntry, rows: Tensor | None, columns: Tensor | None) -> TensorEntry:
    """A tensor with its first and second dimension in other orders, one to one."""
    if len(entry.shape) == 1:  # its elements are the columns of a single row
        layout = Layout(entry.shape[0], 1, torch.zeros(1, dtype=torch.int64), rows)
    else:
        first, second, *rest = entry.shape
        numbers = torch.arange(first) if rows is None else rows
        layout = Layout(second, torch.Size(rest).numel(), numbers, columns)
    source = Rows(entry, layout)
    return TensorEntry(
        entry.name,
        entry.dtype,
        entry.shape,
        source,
        0,
        stored=entry.stored,
        made_of=(entry,),
    )
