"""The best approximation of low rank, at the least work that certifies it.

Legend: M rows, N columns (N the smaller side), R = min(M, N), K kept directions.
"""

import math
from dataclasses import dataclass, replace

from ...lazy import Tensor, torch
from ...typed import eigenvalues, eigh, svd
from ..inner import inner
from .factors import Factors
from .graded import product, resolution, right_singular
from .leading import Certified, by_gaps, fits, leading

LIMIT = 1e-5
"""Largest certified error; beyond it the exact route is taken."""
SMALL = 128
"""Up to this many rows or columns LAPACK's SVD in float64 costs next to nothing."""
_NOTHING = 2e-7
"""Directions below this share of the largest are rounding in a float64 Gram matrix."""
_FLOOR = 4 * 2.0**-23
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
        if self.energy and not self.count:
            held_R = squares_R.clamp(min=0).cumsum(0)
            short = held_R < self.energy * total * (1 - 1e-12)
            return min(int(short.sum()) + 1, full)
        return self.known(full)

    def known(self, full: int) -> int:
        """The rank, of a full one, as far as it is known before a matrix is seen."""
        if self.count:
            return min(self.count, full)
        share = 1.0 if self.energy else self.fraction
        return min(max(1, math.floor(share * full + 1e-9)), full)

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
        bound: at least the relative Frobenius error, |found - best| / |best|; of `directions` the
            root mean square of what each lacks on either side, all of length 1. Where the last
            value kept and the first left out are equal to rounding there is no one best matrix: the
            one found is one of the best, and the bound says how far apart those may be, up to 2.
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

    @property
    def largest(self) -> float:
        """The largest singular value; 0 where there is none."""
        return float(self.values[0]) if self.rank else 0.0

    def scaled(self) -> Tensor:
        """`U diag(s)`, [M, K]."""
        return self.left * self.values.to(self.left.dtype)

    def factors(self) -> Factors:
        """`U diag(s)` and `V^T`."""
        return Factors(self.scaled(), self.right)

    def balanced(self, dtype: "torch.dtype") -> Factors:
        """`U √s` and `√s V^T`, each as large as the other, rounded to a dtype.

        Example:
            >>> found = top_k(torch.diag(torch.tensor([3.0, 2.0, 1.0])), Ranks(count=2))
            >>> found.balanced(torch.float32).product().diagonal().round(decimals=5)
            tensor([3., 2., 0.])
        """
        root_K = self.values.sqrt()
        return Factors((self.left * root_K).to(dtype), (root_K[:, None] * self.right).to(dtype))

    def first(self, count: int) -> "LowRank":
        """The first directions only."""
        left_MK, right_KN = self.left[:, :count], self.right[:count]
        return replace(self, left=left_MK, values=self.values[:count], right=right_KN)

    def mT(self) -> "LowRank":  # noqa: N802 - torch's word
        """The same of the transpose."""
        return replace(self, left=self.right.mT, right=self.left.mT)


def top_k(matrix_MN: Tensor, ranks: Ranks) -> LowRank:
    """The best approximation of a matrix, [M, N] float32 or float64, at the rank that is asked for.

    Float32 matrices: the Gram matrix of the smaller side in float64 and its leading eigenvectors
    (`leading`), certified to an error of 1e-5; where that is not met, or the rank is above about a
    quarter of the full one, all eigenvectors in float64. Small matrices and float64 ones: LAPACK's
    SVD in float64.

    Directions below 2e-7 of the largest are left out, so that the rank may be less than asked for.

    Cost: 0.6 M N² multiplications in float64, and for the eigenvectors those of `leading`.
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
    found = _by_subspace(gram_NN, total, ranks) or _by_eigenvectors(gram_NN, total, ranks)
    return _factors(matrix_MN, unit, total, found)


def directions(matrix_MN: Tensor, count: int) -> LowRank:
    """The first directions of a matrix, weak ones as right as strong ones, rounded once.

    For methods that make all directions equally long, so that a small error of the matrix is not
    enough. Float32 matrices: leading eigenvectors, as in `top_k`, where they are certified for each
    direction; else all of them, of which weak ones are found again by themselves (`graded`). Small
    matrices and float64 ones: LAPACK's SVD in float64.

    Directions that float64 cannot tell from nothing are left out.

    Cost: as `top_k`, and M N K multiplications in float64.
    """
    if matrix_MN.shape[0] < matrix_MN.shape[1]:
        return directions(matrix_MN.mT, count).mT()
    largest = largest_magnitude(matrix_MN)
    if largest == 0 or count == 0:
        return _constant(matrix_MN, 0, 0.0)
    if not math.isfinite(largest):
        return _constant(matrix_MN, 1, math.nan)
    unit = 2.0 ** math.frexp(largest)[1]
    if matrix_MN.shape[1] <= SMALL or matrix_MN.dtype == torch.float64:
        return _by_lapack(matrix_MN, unit, Ranks(count=count), "directions")
    gram_NN = inner(matrix_MN, unit)
    total, size = float(gram_NN.trace()), len(gram_NN)
    found = leading(gram_NN, count, "directions") if fits(count, size) else None
    if found is not None and found.bound <= LIMIT:
        values_K, right_NK, bound, exact = found.values.sqrt(), found.vectors, found.bound, False
    else:
        values_N, vectors_NN = right_singular(matrix_MN, unit, gram_NN)
        real = int((values_N[:count] > resolution(size) * values_N[0]).sum())
        bound, exact = turned(values_N, real, resolution(size)), True
        values_K, right_NK = values_N[:real], vectors_NN[:, :real]
    return LowRank(
        left=product(matrix_MN, right_NK / (values_K * unit), matrix_MN.dtype),
        values=(values_K * unit).cpu(),
        right=right_NK.to(matrix_MN.dtype).mT,
        energy=min(float((values_K**2).sum()) / total, 1.0),
        bound=bound,
        exact=exact,
    )


def svd_resolution(matrix_MN: Tensor) -> float:
    """What LAPACK's SVD in float64 can tell from nothing, of the largest value."""
    return max(matrix_MN.shape) * torch.finfo(torch.float64).eps


def turned(values_R: Tensor, kept: int, error: float) -> float:
    """By how much errors of a matrix turn its first directions: root mean square, first order.

    Args:
        values_R: all singular values, descending.
        kept: how many directions; nothing lies beyond the last of all.
        error: the spectral norm of the errors, as a share of the largest value.
    """
    if not kept:
        return 0.0
    beyond = float(values_R[kept]) if kept < len(values_R) else 0.0
    gaps_K = (values_R[:kept] - beyond).clamp(min=1e-300)
    turned_K = (error * values_R[0] / gaps_K).clamp(max=1.0)
    return float(turned_K.square().mean().sqrt())


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


def _by_subspace(gram_NN: Tensor, total: float, ranks: Ranks) -> _Found | None:
    """The leading eigenvectors alone; None where the bound is not met or no work would be saved."""
    size = len(gram_NN)
    if ranks.energy and not ranks.count:
        values_N = eigenvalues(gram_NN.float().div_(total))
        kept = ranks.of(values_N.double().clamp(min=0), 1.0)
    else:
        kept = ranks.of(gram_NN.diagonal(), total)
    if not fits(kept, size):
        return None
    found = leading(gram_NN, kept)
    if found is None or found.bound > LIMIT:
        return None
    return _Found(found.vectors, found.values, found.bound, exact=False)


def _by_eigenvectors(gram_NN: Tensor, total: float, ranks: Ranks) -> _Found:
    squares_N, vectors_NN = eigh(gram_NN)
    squares_N = squares_N.clamp(min=0)
    kept = ranks.of(squares_N, total)
    noise = 4 * torch.finfo(torch.float64).eps * len(gram_NN) * float(squares_N[0])
    bound = by_gaps(squares_N, squares_N[:kept], noise)
    return _Found(vectors_NN[:, :kept], squares_N[:kept], bound, exact=True)


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


def _by_lapack(
    matrix_MN: Tensor, unit: float, ranks: Ranks, certify: Certified = "matrix"
) -> LowRank:
    left_MR, values_R, right_RN = svd(matrix_MN.double() / unit)
    squares_R = values_R**2
    total = float(squares_R.sum())
    asked = ranks.of(squares_R, total)
    error = svd_resolution(matrix_MN)
    real = int((values_R[:asked] > error * values_R[0]).sum())
    if certify == "matrix":
        noise = 4 * error * float(squares_R[0])
        bound = by_gaps(squares_R, squares_R[:asked], noise) + 4 * error
    else:
        bound = turned(values_R, real, error)
    return LowRank(
        left=left_MR[:, :real],
        values=(values_R[:real] * unit).cpu(),
        right=right_RN[:real],
        energy=min(float(squares_R[:real].sum()) / total, 1.0),
        bound=bound,
        exact=True,
    )


def room_for_top_k(rows: int, columns: int, share: float) -> int:
    """Float32 elements that `top_k` or `directions` holds at once, at a share of the full rank."""
    size, long = min(rows, columns), max(rows, columns)
    if size <= SMALL:
        return 8 * long * size + 4 * size * size
    return math.ceil(10 * size * size + 2 * long * size * share) + 2 * min(long, 1024) * size
