"""The matrices of checkpoints that a study looks at: chosen as CART chooses them, read one by one.

Shapes: M rows, N columns.
"""

import glob
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ...checkpoints.entry import Checkpoint, TensorEntry
from ...engine.rows import OnDisk, Rows, is_finite
from ...errors import MergeError, NonFiniteError
from ...methods import Cart
from ...methods.matrices import matrix_shape
from ...ops.means import affine
from ...recipes.reading.recipe import parse_recipe
from ...recipes.resolving.assignment import Assignment
from ...recipes.resolving.resolve import resolve
from ...views.matched import matched
from ...views.models import Model, checkpoint_of


@dataclass(frozen=True, slots=True, eq=False)
class Matrix:
    """One matrix in every model: T of them, and perhaps the base.

    Attributes:
        name: of its tensor; of a batch of matrices with its place in it.
        shape: M and N.
        dtype: in which it is computed: float32, or float64 where a model has it so.
        sources: one for each model.
        base: the base's, if there is one.
        labels: what models and base are called, for messages.
    """

    name: str
    shape: tuple[int, int]
    dtype: torch.dtype
    sources: tuple[TensorEntry, ...]
    base: TensorEntry | None
    labels: tuple[str, ...]

    def average(self) -> Tensor:
        """The plain average of the models, [M, N]."""
        rows = self._rows(self.sources, self.labels)
        return affine(rows, (1 / len(rows),) * len(rows))

    def origin(self) -> Tensor:
        """The base, [M, N]."""
        assert self.base is not None
        return self._rows((self.base,), self.labels[-1:])[0]

    def deltas(self, centre_MN: Tensor) -> Iterator[Tensor]:
        """Task vectors around a centre, [M, N], one at a time."""
        rows = self._rows(self.sources, self.labels)
        for task in range(len(rows)):
            yield rows[task].sub_(centre_MN)

    def _rows(self, entries: Sequence[TensorEntry], labels: Sequence[str]) -> Rows:
        def look(index: int, row: Tensor) -> None:
            if not is_finite(row):
                raise NonFiniteError(
                    f"'{self.name}' of {labels[index]} holds NaN or infinity: a model that "
                    "diverged has no spectrum; leave it out."
                )

        raw = [OnDisk(entry, digests=False) for entry in entries]
        return Rows(raw, self.dtype, torch.device("cpu"), self.shape, look)


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """What a study will look at.

    Attributes:
        matrices: in the order of the first model's files.
        words: which tensors those are, and what share of the parameters.
        notes: what readers noticed, in sentences.
    """

    matrices: tuple[Matrix, ...]
    words: str
    notes: tuple[str, ...]


def choose(
    models: Sequence[Model],
    base: Model | None,
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
        sample: at most so many matrices, evenly over the depth of the network.

    Raises:
        StockpotError: a checkpoint cannot be read, or the models do not fit together.
        MergeError: nothing is chosen, or the base lacks what is.
    """
    held = [checkpoint_of(model, f"models[{k}]") for k, model in enumerate(models)]
    recipe = parse_recipe(
        {
            "method": by,
            "models": [one.label for one in held],
            "rules": [{"match": glob.escape(name), "copy": 0} for name in private],
        }
    )
    assignments = resolve(recipe, held, None)
    there = None if base is None else checkpoint_of(base, "the base")
    alike = matched([*held, *([] if there is None else [there])]).checkpoints
    held, there = list(alike[: len(held)]), None if there is None else alike[-1]
    taken = [a for a in assignments.tensors if a.view is not None and a.key == a.name]
    found = [matrix for a in taken for matrix in _matrices(a, held, there)]
    words = (
        " ".join(map(str, assignments.selected)).partition(";")[0].removeprefix("cart works on ")
    )
    if sample is not None and sample < len(found):
        words += f"; {sample} of their {len(found)} matrices, evenly over the network"
        found = [found[len(found) * k // sample] for k in range(sample)]
    notes = [note for one in (*held, *([there] if there else [])) for note in one.notes]
    return Chosen(matrices=tuple(found), words=words, notes=tuple(notes))


def _matrices(
    a: Assignment, models: Sequence[Checkpoint], base: Checkpoint | None
) -> Iterator[Matrix]:
    """Of one tensor: itself, or each of a batch."""
    assert a.view is not None
    own = () if base is None else (_of_base(a, base),)
    read = (*a.sources, *own)
    wide = any(entry.dtype == torch.float64 for entry in read)
    labels = tuple(one.label for one in (*models, *([base] if base else [])))
    batch = math.prod(a.view[:-2])
    for b in range(batch):
        entries = [_part(entry, matrix_shape(a.view), b) for entry in read]
        yield Matrix(
            name=f"{a.name}[{b}]" if batch > 1 else a.name,
            shape=matrix_shape(a.view),
            dtype=torch.float64 if wide else torch.float32,
            sources=tuple(entries[: len(a.sources)]),
            base=entries[-1] if own else None,
            labels=labels,
        )


def _part(entry: TensorEntry, shape: tuple[int, int], b: int) -> TensorEntry:
    """One matrix of a batch, which lies at an offset of its own."""
    start = b * math.prod(shape) * entry.dtype.itemsize
    return replace(entry, shape=shape, offset=entry.offset + start)


def _of_base(a: Assignment, base: Checkpoint) -> TensorEntry:
    own = base.entries.get(a.name)
    if own is None or own.shape != a.shape:
        has = "lacks it" if own is None else f"has {own.shape}"
        raise MergeError(
            f"'{a.name}' is {a.shape} in the models, and the base {base.label} {has}: give the "
            "base that they were fine-tuned from, or none."
        )
    return own
