"""Rows of a tensor in another order: an embedding in the order of another vocabulary."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from ...checkpoints.entry import Checkpoint, TensorEntry
from ...checkpoints.formats.untrusted import shown
from ...errors import FieldError
from ...values.fields import check_fields
from ..sources.rows import MADE, Filling, Layout, Rows
from ..view import View, with_entries

INDEX = "rows"
"""The name of the only tensor of a file of rows, unless it has one for each tensor by name."""


@dataclass(frozen=True, slots=True)
class Gathered(View):
    """Rows of some tensors in another order, with rows made where they have none.

    Row i of what is seen is row `rows[i]` of the tensor; of -1 it is made: zeros, the mean of all
    rows of the tensor in float64 rounded once, or row i of the base's tensor of that name. Rows are
    the first dimension, whatever the others are; they may be taken more than once, or not at all.

    Args:
        tensors: globs of the names of the tensors whose rows are taken so.
        rows: which row stands where; -1 for one that is made.
        file: instead, a safetensors file with the tensor `rows` in it, whole numbers.
        missing: what rows that are made hold.
        base: the checkpoint whose rows they are, with missing="base".

    Example:
        >>> import torch
        >>> from stockpot.checkpoints.entry import from_state_dict
        >>> model = from_state_dict({"wte": torch.tensor([[1.0, 2.0], [3.0, 4.0]])}, "m")
        >>> seen = Gathered(tensors=("wte",), rows=(1, -1, 0), missing="mean")(model)
        >>> seen.entries["wte"].load()
        tensor([[3., 4.],
                [2., 3.],
                [1., 2.]])
    """

    beside_fields = ("file", "base")

    tensors: tuple[str, ...]
    rows: tuple[int, ...] = ()
    file: str | None = None
    missing: Filling = "zero"
    base: str | None = None

    def __post_init__(self) -> None:
        check_fields(self)
        if bool(self.rows) == (self.file is not None):
            raise FieldError("gathered: give either rows or a file of them.")
        if self.base is not None and self.missing != "base":
            raise FieldError(f"gathered: base is of no use where missing is '{self.missing}'.")

    def __call__(self, checkpoint: Checkpoint, *others: Checkpoint) -> Checkpoint:
        """The checkpoint with its rows in that order.

        Raises:
            CheckpointError: a row that is not there, a tensor without rows, or a base whose rows
                are missing or of another shape.
        """
        rest = list(others)
        self.expect_beside(checkpoint, rest, (self.file is not None) + (self.missing == "base"))
        rows = torch.tensor(self.rows)
        if self.file is not None:
            rows = whole_numbers(self, checkpoint, rest.pop(0))[INDEX]
        base = rest[0] if rest else None
        changed = {
            name: self._taken(checkpoint, entry, rows, base)
            for name, entry in self.chosen(checkpoint, self.tensors).items()
            if entry.alias_of is None
        }
        return with_entries(checkpoint, changed, *others)

    def _taken(
        self, checkpoint: Checkpoint, entry: TensorEntry, rows: Tensor, base: Checkpoint | None
    ) -> TensorEntry:
        if not entry.shape:
            raise self.refusal(
                checkpoint, f"{shown(entry.name)} is a single number and has no rows."
            )
        count, *rest = entry.shape
        check_numbers(self, checkpoint, entry.name, rows, count, MADE)
        width = torch.Size(rest).numel()
        there = None
        if base is not None:
            there = base.entries.get(entry.name)
            made = (rows == MADE).nonzero().flatten()
            if there is None or there.shape[1:] != entry.shape[1:]:
                held = "has none" if there is None else f"has {there.shape}"
                raise self.refusal(
                    checkpoint,
                    f"rows of {shown(entry.name)} {entry.shape} are to come from {base.label}, "
                    f"which {held}.",
                )
            if len(made) and int(made.max()) >= there.shape[0]:
                raise self.refusal(
                    checkpoint,
                    f"row {int(made.max())} of {shown(entry.name)} is to come from {base.label}, "
                    f"which has {there.shape[0]}.",
                )
        source = Rows(entry, Layout(width, 1, rows), self.missing, there)
        return TensorEntry(
            entry.name,
            entry.dtype,
            (len(rows), *rest),
            source,
            0,
            stored=entry.stored,
            made_of=(entry,) if there is None else (entry, there),
        )


def whole_numbers(view: View, seen: Checkpoint, file: Checkpoint) -> Mapping[str, Tensor]:
    """The tensors of a file of numbers of rows, loaded.

    Raises:
        CheckpointError: one is not a list of whole numbers.
    """
    for name, entry in file.entries.items():
        if len(entry.shape) != 1 or entry.dtype.is_floating_point or entry.dtype.is_complex:
            raise view.refusal(
                seen,
                f"{shown(name)} in {file.label} must be one dimension of whole numbers; it is "
                f"{entry.dtype} {entry.shape}.",
            )
    return {name: entry.load().long() for name, entry in file.entries.items()}


def check_numbers(
    view: View, seen: Checkpoint, name: str, rows: Tensor, count: int, least: int = 0
) -> None:
    """Refuse the number of a row, or column, that a tensor does not have.

    Raises:
        CheckpointError: naming it, its place, and how many there are.
    """
    wrong = ((rows < least) | (rows >= count)).nonzero().flatten()
    if len(wrong):
        place = int(wrong[0])
        made = f", or {MADE} for one that is made" if least < 0 else ""
        raise view.refusal(
            seen,
            f"place {place} asks for {int(rows[place])} of {shown(name)}, which has 0 to "
            f"{count - 1}{made}.",
        )
