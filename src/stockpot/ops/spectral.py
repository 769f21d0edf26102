"""The best approximation of low rank, at the least work that certifies it.

Legend: M rows, N columns (N the smaller side), R = min(M, N), K kept directions, Q those of the
subspace that is refined.
"""

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ..typed import eigh, orthonormal, svd
from .inner import inner

LIMIT = 1e-5
"""Largest certified error; beyond it the exact route is taken."""
SMALL = 128
"""Up to this many rows or columns LAPACK's SVD in float64 costs next to nothing."""
_AIM = 2e-6
_STEPS = 4
_NOTHING = 2e-7
"""Directions below this share of the largest are rounding in a float64 Gram matrix."""
_FLOOR = 4 * torch.finfo(torch.float32).eps
"""What float32 products add to the error of the factors."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ranks:
    """How many directions are kept.

    Attributes:
        count: this many, where it is not 0.
        energy: else the fewest whose squared singular values hold this share of all, where not 0.
        fraction: else this share of the full rank, rounded down, one at least.
    """

    fraction: float = 1.0
    count: int = 0
    energy: float = 0.0

    def of(self, squares_R: Tensor, total: float) -> int:
        """The rank for squared singular values, descending, whose sum is `total`."""
        full = len(squares_R)
        if self.count:
            return min(self.count, full)
        if self.energy:
            held_R = squares_R.clamp(min=0).cumsum(0)
            short = held_R < self.energy * total * (1 - 1e-12)
            return min(int(short.sum()) + 1, full)
        return min(max(1, math.floor(self.fraction * full + 1e-9)), full)

    @property
    def everything(self) -> bool:
        """Whether nothing is cut, whatever the matrix."""
        return not self.count and not self.energy and self.fraction == 1

    @property
    def most(self) -> float:
        """The largest share of the full rank that is known before a matrix is seen."""
        return 1.0 if self.count or self.energy else self.fraction


@dataclass(frozen=True, slots=True, kw_only=True)
class LowRank:
    """`U diag(s) V^T`, the best approximation of its rank.

    Attributes:
        left, right: U [M, K] and V^T [K, N], float32 or float64. Columns and rows are orthonormal;
            those of the longer side, which is divided by s, to a float32 rounding of s_1 / s_k.
        values: the K singular values, float64, descending.
        energy: share of the matrix's squared Frobenius norm that is kept.
        bound: at least the relative Frobenius error, |found - best| / |best|. Where the last value
            kept and the first left out are equal to rounding there is no one best matrix: the one
            found is one of the best, and the bound says how far apart those may be, up to 2.
        exact: whether all of the spectrum was computed in float64.
    """

    left: Tensor
    values: Tensor
    right: Tensor
    energy: float
    bound: float
    exact: bool

    @property
    def rank(self) -> int:
        """Number of directions."""
        return len(self.values)

    def scaled(self) -> Tensor:
        """`U diag(s)`, [M, K]."""
        return self.left * self.values.to(self.left.dtype)

    def product(self) -> Tensor:
        """The matrix, [M, N]."""
        return self.scaled() @ self.right

    def above(self, tolerance: float, largest: float | None = None) -> "LowRank":
        """Without the directions below `tolerance` times the largest value, its own or given."""
        if not self.rank:
            return self
        floor = tolerance * (float(self.values[0]) if largest is None else largest)
        # NaN stays: nothing is patched over
        kept = self.rank - int((self.values <= floor).sum())
        left_MK, right_KN = self.left[:, :kept], self.right[:kept]
        return replace(self, left=left_MK, values=self.values[:kept], right=right_KN)

    def mT(self) -> "LowRank":  # noqa: N802 - torch's word
        """The same of the transpose."""
        return replace(self, left=self.right.mT, right=self.left.mT)


def top_k(matrix_MN: Tensor, ranks: Ranks) -> LowRank:
    """The best approximation of a matrix, [M, N] float32 or float64, at the rank that is asked for.

    Float32 matrices: the Gram matrix of the smaller side in float64, its eigenvectors in float32,
    then a Rayleigh-Ritz step in float64 on K + K/4 of them, repeated with a power step in between
    until the residual certifies an error of 1e-5 (`_certified`); where four steps do not, the
    eigenvectors in float64. Small matrices and float64 ones: LAPACK's SVD in float64.

    Directions below 2e-7 of the largest are left out, so that the rank may be less than asked for.

    Cost: 1.3 M N² multiplications in float64 and 4 N³ in float32.
    """
    if matrix_MN.shape[0] < matrix_MN.shape[1]:
        return top_k(matrix_MN.mT, ranks).mT()
    largest = largest_magnitude(matrix_MN)
    if largest == 0:
        return _constant(matrix_MN, 0, 0.0)
    if not math.isfinite(largest):
        return _constant(matrix_MN, 1, math.nan)
    unit = 2.0 ** math.frexp(largest)[1]
    if matrix_MN.shape[1] <= SMALL or matrix_MN.dtype == torch.float64:
        return _by_lapack(matrix_MN, unit, ranks)
    gram_NN = inner(matrix_MN, unit)
    total = float(gram_NN.trace())
    found = _refined(gram_NN, total, ranks) or _by_eigenvectors(gram_NN, total, ranks)
    return _factors(matrix_MN, unit, total, found)


def largest_magnitude(matrix_MN: Tensor) -> float:
    """Of any element; 0 where there is none, NaN where one is NaN."""
    if not matrix_MN.numel():
        return 0.0
    least, most = torch.aminmax(matrix_MN)
    return float(torch.maximum(-least, most))


def _constant(matrix_MN: Tensor, rank: int, value: float) -> LowRank:
    rows, columns = matrix_MN.shape
    return LowRank(
        left=matrix_MN.new_full((rows, rank), value),
        values=torch.full((rank,), value, dtype=torch.float64),
        right=matrix_MN.new_full((rank, columns), value),
        energy=1.0,
        bound=0.0,
        exact=True,
    )


@dataclass(frozen=True, slots=True)
class _Found:
    """Right singular vectors [N, K] in float64, squared values [K], and their relative error."""

    vectors: Tensor
    squares: Tensor
    bound: float
    exact: bool


def _refined(gram_NN: Tensor, total: float, ranks: Ranks) -> _Found | None:
    """Eigenvectors in float32, refined in float64; None where the bound is not met or no gain."""
    size = len(gram_NN)
    if _subspace(math.ceil(ranks.most * size), size) is None and not (ranks.count or ranks.energy):
        return None
    rough_N, rough_NN = eigh(gram_NN.float().div_(total))
    squares_N = rough_N.double().clamp(min=0) * total
    kept = ranks.of(squares_N, total)
    wide = _subspace(kept, size)
    if wide is None:
        return None
    beyond = float(squares_N[wide]) + _FLOOR * total
    block_NQ = rough_NN[:, :wide].double()
    best = _Found(block_NQ, squares_N, math.inf, exact=False)
    for _ in range(_STEPS):
        basis_NQ = orthonormal(block_NQ)
        image_NQ = gram_NN @ basis_NQ
        ritz_Q, turn_QQ = eigh(basis_NQ.mT @ image_NQ)
        basis_NQ, block_NQ = basis_NQ @ turn_QQ, image_NQ @ turn_QQ
        bound = _certified(ritz_Q, block_NQ - basis_NQ * ritz_Q, kept, beyond)
        if bound < best.bound:
            best = _Found(basis_NQ[:, :kept], ritz_Q[:kept], bound, exact=False)
        if bound <= _AIM:
            break
    return best if best.bound <= LIMIT else None


def _subspace(kept: int, size: int) -> int | None:
    """How many vectors are refined; None where that is so many that all of them cost no more."""
    wide = kept + max(16, kept // 4)
    return wide if wide <= 0.6 * size else None


def _certified(ritz_Q: Tensor, residual_NQ: Tensor, kept: int, beyond: float) -> float:
    """A bound on |A W Wᵀ - A_k| / |A_k| for the first k Ritz vectors W of AᵀA = G in a subspace.

    With r_i = G w_i - θ_i w_i, which is orthogonal to the subspace, ν at least the largest
    eigenvalue of G outside it, g = θ_k - ν the gap to the outside and h = θ_k - θ_{k+1} that
    within: true vectors have components of at most |R x| / (g - |R|²/h) outside, and |R|/h times
    that within, so that

        |A W Wᵀ - A_k| <= (sqrt(Σ θ_i |r_i|²) + σ_{k+1} |R_k|) (1 + |R|/h) / (g - |R|²/h).

    The gap within counts in second order only, which is why the subspace is larger than k.

    Args:
        ritz_Q: θ, descending.
        residual_NQ: r.
        kept: k.
        beyond: an upper bound of eigenvalue Q + 1 of G, from which ν = beyond + |R| follows.
    """
    lengths_Q = (residual_NQ * residual_NQ).sum(0)
    whole = math.sqrt(float(lengths_Q.sum()))
    outside = beyond + whole
    if float(ritz_Q[-1]) <= outside:  # the subspace may have missed a direction
        return math.inf
    within = float(ritz_Q[kept - 1] - ritz_Q[kept])
    if within <= 0:
        return math.inf
    gap = float(ritz_Q[kept - 1]) - outside - whole**2 / within
    if gap <= 0:
        return math.inf
    weighted = math.sqrt(float((ritz_Q[:kept] * lengths_Q[:kept]).sum()))
    plain = math.sqrt(float(ritz_Q[kept]) * float(lengths_Q[:kept].sum()))
    size = math.sqrt(float(ritz_Q[:kept].sum()))
    return (weighted + plain) * (1 + whole / within) / (gap * size)


def _by_eigenvectors(gram_NN: Tensor, total: float, ranks: Ranks) -> _Found:
    squares_N, vectors_NN = eigh(gram_NN)
    squares_N = squares_N.clamp(min=0)
    kept = ranks.of(squares_N, total)
    noise = 4 * torch.finfo(torch.float64).eps * len(gram_NN) * float(squares_N[0])
    bound = _by_gaps(squares_N, kept, noise)
    return _Found(vectors_NN[:, :kept], squares_N[:kept], bound, exact=True)


def _by_gaps(squares_R: Tensor, kept: int, noise: float) -> float:
    """The error that a perturbation of the Gram matrix by `noise` makes, relative, first order."""
    if kept == len(squares_R):
        return 0.0
    kept_K, first_out = squares_R[:kept], float(squares_R[kept])
    turned_K = (noise / (kept_K - first_out).clamp(min=noise)) ** 2
    weighted = math.sqrt(float((kept_K * turned_K).sum()))
    plain = math.sqrt(first_out * float(turned_K.sum()))
    return (weighted + plain) / math.sqrt(float(kept_K.sum()))


def _factors(matrix_MN: Tensor, unit: float, total: float, found: _Found) -> LowRank:
    """U = A V / s in the matrix's dtype, without the directions that are rounding."""
    squares_K = found.squares
    held = float(squares_K.sum())
    real = max(int((squares_K > _NOTHING**2 * squares_K[0]).sum()), 1)
    lost = math.sqrt(float(squares_K[real:].sum()) / held)
    right_NK = found.vectors[:, :real].to(matrix_MN.dtype)
    values_K = squares_K[:real].sqrt() * unit
    left_MK = matrix_MN @ right_NK
    left_MK.div_(values_K.to(left_MK.dtype).clamp(min=torch.finfo(left_MK.dtype).tiny))
    return LowRank(
        left=left_MK,
        values=values_K.cpu(),
        right=right_NK.mT,
        energy=min(held / total, 1.0),
        bound=found.bound + lost + _FLOOR * math.sqrt(total / held),
        exact=found.exact,
    )


def _by_lapack(matrix_MN: Tensor, unit: float, ranks: Ranks) -> LowRank:
    left_MR, values_R, right_RN = svd(matrix_MN.double() / unit)
    squares_R = values_R**2
    total = float(squares_R.sum())
    asked = ranks.of(squares_R, total)
    eps = torch.finfo(torch.float64).eps
    noise = 4 * eps * matrix_MN.shape[0] * float(squares_R[0])
    real = int((values_R[:asked] > max(matrix_MN.shape) * eps * values_R[0]).sum())
    return LowRank(
        left=left_MR[:, :real],
        values=(values_R[:real] * unit).cpu(),
        right=right_RN[:real],
        energy=min(float(squares_R[:real].sum()) / total, 1.0),
        bound=_by_gaps(squares_R, asked, noise) + 4 * eps * matrix_MN.shape[0],
        exact=True,
    )


def room_for_top_k(rows: int, columns: int, share: float) -> int:
    """Float32 elements that `top_k` holds at once at a rank of `share` of the full one."""
    size, long = min(rows, columns), max(rows, columns)
    if size <= SMALL:
        return 8 * long * size + 4 * size * size
    return math.ceil(10 * size * size + 2 * long * size * share) + 2 * min(long, 1024) * size
