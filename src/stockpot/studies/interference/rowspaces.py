"""Row spaces of the task vectors of one matrix: how far they share directions, rank by rank.

Legend: T tasks, M rows, N columns, R = min(M, N), K kept directions, P pairs of tasks, G ranks.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations

import torch
from torch import Tensor

from ...ops.spectra.low_rank import LowRank, Ranks, top_k
from ...typed import to_floats

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
