"""Matrices, chosen as CART chooses them, and how far row spaces of their task vectors are shared.

Legend: T tasks, M rows, N columns, R = min(M, N), K kept directions, P pairs of tasks, G ranks.
"""

import glob
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import torch
from torch import Tensor

from ...checkpoints.entry import Checkpoint, TensorEntry
from ...engine.rows import OnDisk, Rows, is_finite
from ...errors import MergeError, NonFiniteError
from ...methods import Cart
from ...methods.matrices import matrix_shape
from ...ops.means import affine
from ...ops.spectra.low_rank import LowRank, Ranks, top_k
from ...recipes.reading.recipe import parse_recipe
from ...recipes.resolving.assignment import Assignment
from ...recipes.resolving.resolve import resolve
from ...typed import to_floats
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
        entries = [_part_of_fused(entry, matrix_shape(a.view), b) for entry in read]
        yield Matrix(
            name=f"{a.name}[{b}]" if batch > 1 else a.name,
            shape=matrix_shape(a.view),
            dtype=torch.float64 if wide else torch.float32,
            sources=tuple(entries[: len(a.sources)]),
            base=entries[-1] if own else None,
            labels=labels,
        )


def _part_of_fused(entry: TensorEntry, shape: tuple[int, int], b: int) -> TensorEntry:
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


PLACES = tuple((step / 32) ** 2 for step in range(33))
"""Where a spectrum is kept: 0 is the largest singular value, 1 the last; dense at the large end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RowSpaces:
    """What is known of the T task vectors of one matrix, at each of G ranks.

    Attributes:
        counts: k, the directions kept at each rank.
        squares: |τ_t|² by task.
        residuals: by rank and task |τ_t - SVD_k(τ_t)|².
        interference: by rank and pair of tasks |S~_i V~_i V~_jᵀ S~_j|, for one order of the two.
        overlaps: by rank and pair |V~_i V~_jᵀ|² / k, the mean squared cosine of principal angles.
        effective_ranks: by task; NaN where the ranks stop short of 1.
        spectra: by task the singular values over the largest one at `PLACES`; NaN where not known.
        error: the largest certified relative error of a decomposition.
    """

    counts: tuple[int, ...]
    squares: tuple[float, ...]
    residuals: tuple[tuple[float, ...], ...]
    interference: tuple[tuple[float, ...], ...]
    overlaps: tuple[tuple[float, ...], ...]
    effective_ranks: tuple[float, ...]
    spectra: tuple[tuple[float, ...], ...]
    error: float


def row_spaces(deltas: Iterable[Tensor], ranks: Sequence[float]) -> RowSpaces:
    """Compare the row spaces of task vectors at several ranks, from one decomposition of each.

    τ_t = U_t S_t V_tᵀ;  V~_t [K, N] are its first k right singular vectors, S~_t the first k
    singular values over |τ_t|, the root of the sum of all squared ones. So the interference of a
    pair lies in [0, 1], is |τ_i τ_jᵀ| / (|τ_i| |τ_j|) at full rank, and never falls with k.

    Args:
        deltas: T matrices [M, N], float32 or float64, taken one by one.
        ranks: fractions of the full rank in (0, 1], ascending.

    Cost: one decomposition for each task, at the largest rank; a product of 2 K² N for each pair.
    Memory: one matrix and the right singular vectors of all tasks.
    """
    full, parts = 0, list[_Part]()
    for delta in deltas:
        full = min(delta.shape)
        parts.append(_part(top_k(delta, Ranks(fraction=ranks[-1])), full))
    counts = tuple(Ranks(fraction=r).of(torch.ones(full), float(full)) for r in ranks)
    pairs = [_pair(a, b, counts) for a, b in combinations(parts, 2)]
    return RowSpaces(
        counts=counts,
        squares=tuple(part.square for part in parts),
        residuals=tuple(tuple(part.left_out(k) for part in parts) for k in counts),
        interference=tuple(tuple(pair[g][0] for pair in pairs) for g in range(len(counts))),
        overlaps=tuple(tuple(pair[g][1] for pair in pairs) for g in range(len(counts))),
        effective_ranks=tuple(
            effective_rank(part.values) if ranks[-1] == 1 else math.nan for part in parts
        ),
        spectra=tuple(_spectrum(part, full, whole=ranks[-1] == 1) for part in parts),
        error=max((part.error for part in parts), default=0.0),
    )


def effective_rank(values_R: Tensor) -> float:
    """exp of the entropy of s / Σ s (Roy and Vetterli, 2007): R where all are equal, 1 for one.

    Example:
        >>> round(effective_rank(torch.tensor([2.0, 2.0, 2.0, 0.0])), 6)
        3.0
    """
    shares_R = values_R[values_R > 0].double()
    if not len(shares_R):
        return 0.0
    shares_R = shares_R / shares_R.sum()
    return math.exp(-float((shares_R * shares_R.log()).sum()))


@dataclass(frozen=True, slots=True, eq=False)
class _Part:
    """A decomposed task vector without its left side: V~ [K, N] and K singular values."""

    right: Tensor
    values: Tensor
    square: float
    error: float

    def left_out(self, count: int) -> float:
        """What rank k leaves of the square: the tail that was found, and what was not looked at."""
        kept = float((self.values**2).sum())
        return math.fsum([float((self.values[count:] ** 2).sum()), max(self.square - kept, 0.0)])


def _part(found: LowRank, full: int) -> _Part:
    kept = float((found.values**2).sum())
    complete = found.rank == full or not found.rank
    square = kept if complete or found.energy == 0 else kept / found.energy
    return _Part(found.right.contiguous(), found.values, square, found.bound)


def _pair(a: _Part, b: _Part, counts: Sequence[int]) -> list[tuple[float, float]]:
    """Interference and overlap of two tasks at each k; k x k products, never n x n."""
    if not (len(a.values) and len(b.values)):
        return [(0.0, 0.0)] * len(counts)
    cosines_KK = (a.right @ b.right.mT).double()
    squares_KK = cosines_KK.square_()
    weights_K, others_K = a.values**2 / a.square, b.values**2 / b.square
    found: list[tuple[float, float]] = []
    for k in counts:
        block_KK = squares_KK[:k, :k]
        weighted = weights_K[:k] @ block_KK @ others_K[:k]
        overlap = float(block_KK.sum()) / min(block_KK.shape)
        found.append((math.sqrt(float(weighted)), min(overlap, 1.0)))
    return found


def _spectrum(part: _Part, full: int, *, whole: bool) -> tuple[float, ...]:
    """Singular values over the largest; what was left out as rounding is 0."""
    values_K = part.values
    if not len(values_K):
        return (0.0,) * len(PLACES)
    padded = torch.full((full,), 0.0 if whole else math.nan, dtype=torch.float64)
    padded[: len(values_K)] = values_K / values_K[0]
    return tuple(to_floats(padded[[round(place * (full - 1)) for place in PLACES]]))
