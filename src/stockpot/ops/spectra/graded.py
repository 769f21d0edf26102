"""All right singular vectors of a matrix from Gram matrices in float64, weak ones too.

Eigenvalues of a Gram matrix have errors relative to the largest, so that values below 1e-8 of it
are lost and those above are blurred. Here weak directions are found again from what the matrix
does to them alone, until those are weak in turn.

Legend: M rows, N columns, W weak directions.
"""

from ...lazy import Tensor, torch
from ...typed import eigh
from ..inner import inner

_STRONG = 1e-3
"""Values down to this share of the largest are told from the same Gram matrix."""
_NOTHING = 1e-12
_ROWS = 512


def right_singular(
    matrix_MN: Tensor, unit: float, gram_NN: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Singular values divided by `unit`, descending, [N], and V, [N, N], float64; M >= N.

    Errors, of a value and of what its left direction shares with the others', are `resolution`
    times the largest value at most.

    Args:
        matrix_MN: float32 or float64, finite.
        unit: what it is divided by.
        gram_NN: `inner(matrix_MN, unit)`, where that is at hand.
    """
    squares_N, vectors_NN = eigh(inner(matrix_MN, unit) if gram_NN is None else gram_NN)
    first, least = 0, _NOTHING**2 * float(squares_N[0])
    while float(squares_N[first]) > least:
        weak = first + int((squares_N[first:] >= _STRONG**2 * squares_N[first]).sum())
        if weak == len(squares_N):
            break
        weak_NW = vectors_NN[:, weak:]
        squares_N[weak:], turn_WW = eigh(_inner_along(matrix_MN, weak_NW, unit))
        vectors_NN[:, weak:] = weak_NW @ turn_WW
        first = weak
    return squares_N.clamp_(min=0).sqrt_(), vectors_NN


def resolution(size: int) -> float:
    """The error of the values of a matrix of so many columns, relative to the largest."""
    return torch.finfo(torch.float64).eps * size / _STRONG


def _inner_along(matrix_MN: Tensor, weak_NW: Tensor, unit: float) -> Tensor:
    """The Gram matrix of `A V / unit`, [W, W]."""
    gram_WW = weak_NW.new_zeros((weak_NW.shape[1],) * 2)
    for top in range(0, len(matrix_MN), _ROWS):
        part_RW = (matrix_MN[top : top + _ROWS].double() @ weak_NW).div_(unit)
        gram_WW.addmm_(part_RW.mT, part_RW)
    return gram_WW


def product(matrix_MN: Tensor, right_NK: Tensor, dtype: "torch.dtype") -> Tensor:
    """`A B` in float64, so many rows at a time, and rounded to the dtype once."""
    product_MK = matrix_MN.new_empty((len(matrix_MN), right_NK.shape[1]), dtype=dtype)
    for top in range(0, len(matrix_MN), _ROWS):
        rows = slice(top, top + _ROWS)
        product_MK[rows] = matrix_MN[rows].double() @ right_NK
    return product_MK
