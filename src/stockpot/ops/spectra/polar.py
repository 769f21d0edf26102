"""Polar factors: the nearest matrix with orthonormal directions, without a full SVD.

Legend: M rows, N columns, R = min(M, N), S directions side by side.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from ...lazy import Tensor, torch
from ...typed import svd
from .graded import product, resolution, right_singular
from .low_rank import SMALL, LowRank, largest_magnitude, svd_resolution
from .noise import Noise, is_real


@dataclass(frozen=True, slots=True, kw_only=True)
class Polar:
    """`U Vᵀ` of a matrix `U diag(s) Vᵀ`, over the directions that are more than noise.

    Attributes:
        factor: the polar factor [M, N].
        rank: number of directions whose singular values are more than noise.
        nuclear: the sum of those singular values.
        noise: the largest singular value that would have been noise.
    """

    factor: Tensor
    rank: int
    nuclear: float
    noise: float = 0.0


def polar(matrix_MN: Tensor, noise: Noise) -> Polar:
    """The polar factor `A (AᵀA)^(-1/2)` of a matrix [M, N], float32 or float64, in its dtype.

    Directions with a singular value that is noise take no part: in a matrix that lacks rank they
    would be rounding errors blown up to length 1.

    Small matrices and float64 ones by LAPACK's SVD in float64, others by the eigenvectors of the
    Gram matrix in float64, weak ones found again by themselves (`graded`): 4 R³ + 2.3 M N R
    multiplications, and a product in float64, for the root magnifies what float32 would round away
    by the inverse of a weak value. Errors are those of float32 besides `resolution` times the
    largest value over the least.
    """
    if matrix_MN.shape[0] < matrix_MN.shape[1]:
        flipped = polar(matrix_MN.mT, noise)
        return replace(flipped, factor=flipped.factor.mT)
    return _tall(matrix_MN, noise, None, matrix_MN.dtype)


def _tall(matrix_MN: Tensor, noise: Noise, levels_N: Tensor | None, dtype: "torch.dtype") -> Polar:
    """For M >= N; `levels_N` is the noise of each column, as far as one direction sees it."""
    largest = largest_magnitude(matrix_MN)
    if largest == 0 or not math.isfinite(largest):
        value = 0.0 if largest == 0 else math.nan
        factor_MN = torch.full_like(matrix_MN, value, dtype=dtype)
        return Polar(factor=factor_MN, rank=0, nuclear=value)
    unit = 2.0 ** math.frexp(largest)[1]
    size = matrix_MN.shape[1]
    if size <= SMALL or dtype == torch.float64:
        left_MN, values_N, right_NN = svd(matrix_MN.double() / unit)
        levels = _levels(noise, levels_N, values_N, right_NN.mT, unit, svd_resolution(matrix_MN))
        kept_N = is_real(values_N, levels, noise.rounds)
        factor_MN = (left_MN[:, kept_N] @ right_NN[kept_N]).to(dtype)
    else:
        values_N, vectors_NN = right_singular(matrix_MN, unit)
        levels = _levels(noise, levels_N, values_N, vectors_NN, unit, resolution(size))
        kept_N = is_real(values_N, levels, noise.rounds)
        vectors_NR = vectors_NN[:, kept_N]
        root_NN = (vectors_NR / (values_N[kept_N] * unit)) @ vectors_NR.mT
        factor_MN = product(matrix_MN, root_NN, dtype)
    values_R = values_N[kept_N]
    return Polar(
        factor=factor_MN,
        rank=len(values_R),
        nuclear=float(values_R.sum()) * unit,
        noise=float(levels.max()) * unit,
    )


def _levels(
    noise: Noise,
    levels_N: Tensor | None,
    values_R: Tensor,
    vectors_NR: Tensor,
    unit: float,
    least: float,
) -> Tensor:
    """The noise of each direction over `unit`, and at least what is lost in computing it.

    A direction that mixes columns has the noise of its mixture, `sqrt(Σ v_i² level_i²)`.
    """
    if levels_N is None:
        level = noise.beside(float(values_R[0]) * unit).level
        levels_R = torch.full_like(values_R, level / unit)
    else:
        squares_N = (levels_N.to(vectors_NR.device) / unit).square()
        levels_R = (vectors_NR.square().mT @ squares_N).sqrt_()
    return levels_R.clamp_(min=least * float(values_R[0]))


@dataclass(frozen=True, slots=True, kw_only=True)
class Turned:
    """Directions of several matrices, turned apart.

    Attributes:
        left, right: the polar factors of `[U_1 .. U_T]`, [M, S], and of `[V_1 .. V_T]ᵀ`, [S, N].
        dependent: how many of the S directions lie in the span of the others, on one side.
    """

    left: Tensor
    right: Tensor
    dependent: int


def turned_apart(parts: Sequence[LowRank], noises: Sequence[Noise], dtype: "torch.dtype") -> Turned:
    """The directions of all parts side by side, turned as little as makes them orthogonal.

    A direction that two parts share is one direction, up to what noise does to it: that of a part
    with singular values s turns its direction i by level / s_i, and rounding by eps. Others that
    are nearly shared are turned apart, however near they are.

    Args:
        parts: low-rank approximations of matrices of one shape [M, N].
        noises: what is noise in each, beside its own largest value or another.
        dtype: of the result.
    """
    levels = [
        (noise.level / part.values).clamp(min=torch.finfo(part.left.dtype).eps)
        for part, noise in zip(parts, noises, strict=True)
    ]
    levels_S, noise = torch.cat(levels), Noise(rounds=max(one.rounds for one in noises))
    left_MS = _tall(torch.cat([part.left for part in parts], 1), noise, levels_S, dtype)
    right_NS = _tall(torch.cat([part.right for part in parts]).mT, noise, levels_S, dtype)
    return Turned(
        left=left_MS.factor,
        right=right_NS.factor.mT,
        dependent=len(levels_S) - min(left_MS.rank, right_NS.rank),
    )


def room_for_polar(rows: int, columns: int) -> int:
    """Float32 elements that `polar` holds at once, its result included."""
    size, long = min(rows, columns), max(rows, columns)
    return (8 if size <= SMALL else 1) * long * size + 10 * size * size + 2 * min(long, 1024) * size
