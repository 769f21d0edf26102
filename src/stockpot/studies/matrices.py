"""The matrices of checkpoints that a study looks at: chosen as CART chooses them, read one by one.

Shapes: a tensor is seen as [..., M, N], a batch of matrices.
"""

import glob
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from ..checkpoints.entry import Checkpoint, TensorEntry
from ..checkpoints.read import read_checkpoint
from ..engine.rows import OnDisk, Rows
from ..errors import MergeError, NonFiniteError
from ..methods import Cart
from ..methods.matrices import matrix_shape
from ..ops.means import affine
from ..recipes.assignment import Assignment
from ..recipes.model import parse_recipe
from ..recipes.resolve import resolve


@dataclass(frozen=True, slots=True, eq=False)
class Matrices:
    """One tensor in every model: T of them, and perhaps the base.

    Attributes:
        name: of the tensor.
        view: the shape in which it is seen, [..., M, N].
        dtype: in which it is computed: float32, or float64 where a model has it so.
        sources: one for each model.
        base: the base's, if there is one.
        labels: what models and base are called, for messages.
    """

    name: str
    view: tuple[int, ...]
    dtype: torch.dtype
    sources: tuple[TensorEntry, ...]
    base: TensorEntry | None
    labels: tuple[str, ...]

    @property
    def shape(self) -> tuple[int, int]:
        """M and N."""
        return matrix_shape(self.view)

    @property
    def names(self) -> tuple[str, ...]:
        """What each matrix of the batch is called."""
        batch = math.prod(self.view[:-2])
        return tuple(f"{self.name}[{b}]" for b in range(batch)) if batch > 1 else (self.name,)

    def average(self) -> Tensor:
        """The plain average of the models, [B, M, N]."""
        rows = self._rows(self.sources)
        return affine(rows, (1 / len(rows),) * len(rows))

    def origin(self) -> Tensor:
        """The base, [B, M, N]."""
        assert self.base is not None
        return self._rows((self.base,))[0]

    def deltas(self, centre_BMN: Tensor, b: int) -> Iterator[Tensor]:
        """Task vectors of one matrix around a centre, [M, N], one at a time."""
        rows = self._rows(self.sources)
        for task in range(len(rows)):
            yield rows[task][b] - centre_BMN[b]

    def _rows(self, entries: Sequence[TensorEntry]) -> Rows:
        first = 0 if entries is self.sources else len(self.sources)

        def blame(index: int) -> None:
            raise NonFiniteError(
                f"'{self.name}' of {self.labels[first + index]} holds NaN or infinity: a model "
                "that diverged has no spectrum; leave it out."
            )

        raw = [OnDisk(entry, digests=False) for entry in entries]
        return Rows(raw, self.dtype, torch.device("cpu"), (-1, *self.shape), blame)


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """What a study will look at.

    Attributes:
        matrices: in the order of the first model's files.
        words: which tensors those are, and what share of the parameters.
        notes: what readers noticed, in sentences.
    """

    matrices: tuple[Matrices, ...]
    words: str
    notes: tuple[str, ...]


def choose(
    models: Sequence[str | Path],
    base: str | Path | None,
    by: Cart,
    *,
    private: Sequence[str] = (),
    sample: int | None = None,
) -> Chosen:
    """The matrices that `by` would decompose in a merge of these models; no weight is read.

    Args:
        models: checkpoints with the same tensors.
        base: what they were fine-tuned from; it may have more tensors.
        by: its fields tensors, conv and qkv say which.
        private: names of tensors that are each model's own, and left out.
        sample: at most so many tensors, evenly over the depth of the network.

    Raises:
        StockpotError: a checkpoint cannot be read, or the models do not fit together.
        MergeError: nothing is chosen, or the base lacks what is.
    """
    recipe = parse_recipe(
        {
            "method": by,
            "models": [str(model) for model in models],
            "rules": [{"match": glob.escape(name), "copy": 0} for name in private],
        }
    )
    opened = [read_checkpoint(model) for model in models]
    assignments = resolve(recipe, opened, None)
    there = None if base is None else read_checkpoint(base)
    found = [a for a in assignments.tensors if a.view is not None and a.key == a.name]
    if sample is not None and sample < len(found):
        found = [found[len(found) * k // sample] for k in range(sample)]
    words = (
        " ".join(map(str, assignments.selected)).partition(";")[0].removeprefix("cart works on ")
    )
    if sample is not None:
        words += f"; {len(found)} of these tensors, evenly over the network, were looked at"
    notes = [note for one in (*opened, *([there] if there else [])) for note in one.notes]
    return Chosen(
        matrices=tuple(_matrices(a, opened, there) for a in found), words=words, notes=tuple(notes)
    )


def _matrices(a: Assignment, models: Sequence[Checkpoint], base: Checkpoint | None) -> Matrices:
    assert a.view is not None
    own = None
    if base is not None:
        own = base.entries.get(a.name)
        if own is None or own.shape != a.shape:
            has = "lacks it" if own is None else f"has {own.shape}"
            raise MergeError(
                f"'{a.name}' is {a.shape} in the models, and the base {base.label} {has}: give the "
                "base that they were fine-tuned from, or none."
            )
    read = (*a.sources, *(() if own is None else (own,)))
    wide = any(entry.dtype == torch.float64 for entry in read)
    labels = (*(one.label for one in models), *(() if base is None else (base.label,)))
    dtype = torch.float64 if wide else torch.float32
    return Matrices(a.name, a.view, dtype, a.sources, own, labels)
