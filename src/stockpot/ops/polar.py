"""Polar factors: the nearest matrix with orthonormal directions, without a full SVD.

Legend: M rows, N columns, R = min(M, N), S directions side by side.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ..typed import eigh, svd
from .inner import inner
from .spectral import SMALL, LowRank, largest_magnitude

TOLERANCE = 1e-5
"""Directions below this share of the largest are noise by default."""
_ROWS = 512
_TURNED = 0.003
"""Of the tolerance; at 1e-5 a quarter of float32's eps, twice what rounding was seen to turn the
first direction of a matrix by."""
_LEAST = 1e-7
"""What a float64 Gram matrix can tell from nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Polar:
    """`U Vᵀ` of a matrix `U diag(s) Vᵀ`, over the directions that are more than noise.

    Attributes:
        factor: the polar factor [M, N], in the matrix's dtype.
        rank: number of directions with a singular value above the tolerance.
        nuclear: the sum of their singular values.
    """

    factor: Tensor
    rank: int
    nuclear: float


def polar(matrix_MN: Tensor, tolerance: float = TOLERANCE) -> Polar:
    """The polar factor `A (AᵀA)^(-1/2)` of a matrix [M, N], float32 or float64.

    Directions with a singular value of at most `tolerance` times the largest (1e-7 at least) take
    no part: in a matrix that lacks rank they would be rounding errors blown up to length 1.

    Small matrices and float64 ones by LAPACK's SVD in float64, others by the eigenvectors of the
    Gram matrix in float64: 4 R³ + 2.3 M N R multiplications, and a product in float64, for the root
    magnifies what float32 would round away by up to 1 / tolerance. Errors are those of float32
    besides eps64 / tolerance² at most.
    """
    if matrix_MN.shape[0] < matrix_MN.shape[1]:
        flipped = polar(matrix_MN.mT, tolerance)
        return replace(flipped, factor=flipped.factor.mT)
    largest = largest_magnitude(matrix_MN)
    if largest == 0:
        return Polar(factor=torch.zeros_like(matrix_MN), rank=0, nuclear=0.0)
    if not math.isfinite(largest):
        return Polar(factor=torch.full_like(matrix_MN, math.nan), rank=0, nuclear=math.nan)
    unit = 2.0 ** math.frexp(largest)[1]
    floor = max(tolerance, _LEAST)
    if matrix_MN.shape[1] <= SMALL or matrix_MN.dtype == torch.float64:
        left_MR, values_R, right_RN = svd(matrix_MN.double() / unit)
        kept_R = values_R > floor * values_R[0]
        factor_MN = left_MR[:, kept_R] @ right_RN[kept_R]
        values_R = values_R[kept_R]
    else:
        squares_N, vectors_NN = eigh(inner(matrix_MN, unit))
        kept_N = squares_N > floor**2 * squares_N[0]
        values_R, vectors_NR = squares_N[kept_N].sqrt(), vectors_NN[:, kept_N]
        root_NN = (vectors_NR / (values_R * unit)) @ vectors_NR.mT
        factor_MN = _product(matrix_MN, root_NN)
    return Polar(
        factor=factor_MN.to(matrix_MN.dtype),
        rank=len(values_R),
        nuclear=float(values_R.sum()) * unit,
    )


def _product(matrix_MN: Tensor, root_NN: Tensor) -> Tensor:
    """In float64, so many rows at a time, and rounded once."""
    product_MN = torch.empty_like(matrix_MN)
    for first in range(0, len(matrix_MN), _ROWS):
        rows = slice(first, first + _ROWS)
        product_MN[rows] = matrix_MN[rows].double() @ root_NN
    return product_MN


def turned_apart(parts: Sequence[LowRank], floor: float = TOLERANCE) -> tuple[Tensor, Tensor]:
    """The directions of all parts side by side, turned as little as makes them orthogonal.

    Args:
        parts: low-rank approximations of matrices of one shape [M, N].
        floor: below this share of the largest singular value of the directions side by side, parts
            have a direction in common, and it is left out once; `common_below` gives it.

    Returns:
        The polar factors of `[U_1 .. U_T]`, [M, S], and of `[V_1 .. V_T]ᵀ`, [S, N].
    """
    left_MS = polar(torch.cat([part.left for part in parts], 1), floor)
    right_SN = polar(torch.cat([part.right for part in parts]), floor)
    return left_MS.factor, right_SN.factor


def common_below(
    parts: Sequence[LowRank], asked: int, tolerance: float, largest: float = 0
) -> float:
    """What tells directions that parts have in common from such as are nearly so.

    Parts that lack directions are of matrices that lack rank, perhaps all in one span: `tolerance`.
    Others fill the space, and their stacks have condition numbers of 1e5 and 1e6 by chance: only
    what noise does to the weakest direction, 0.003 s_1 / s_k times the tolerance.

    Args:
        parts: of each matrix what is kept of it.
        asked: how many directions they would have together if none were noise.
        tolerance: below this share of a matrix's largest singular value a direction is noise.
        largest: the singular value that all are rounded by; 0 for the largest of each part.
    """
    if sum(part.rank for part in parts) < asked:
        return tolerance
    ratios = [(largest or float(p.values[0])) / float(p.values[-1]) for p in parts if p.rank]
    return tolerance * min(_TURNED * max(ratios, default=1.0), 1.0)


def room_for_polar(rows: int, columns: int) -> int:
    """Float32 elements that `polar` holds at once, its result included."""
    size, long = min(rows, columns), max(rows, columns)
    return (8 if size <= SMALL else 1) * long * size + 10 * size * size + 2 * min(long, 1024) * size
