"""Gram matrices of the columns of one matrix, in float64.

Legend: M rows, N columns.
"""

from ..lazy import Tensor, torch

_ROWS = 1024
_FEWEST = 96


def inner(matrix_MN: Tensor, unit: float = 1.0) -> Tensor:
    """`AᵀA / unit²`, [N, N] float64 and symmetric to the last bit.

    Products and sums in float64, over runs of 1024 rows, so that no copy of the whole matrix is
    made; only blocks on and above the diagonal are multiplied, 9/16 of them all.
    """
    rows, size = matrix_MN.shape
    width = max(_FEWEST, -(-size // 8))
    gram_NN = matrix_MN.new_zeros((size, size), dtype=torch.float64)
    for top in range(0, rows, _ROWS):
        part_RN = matrix_MN[top : top + _ROWS].double()
        for left in range(0, size, width):
            block = part_RN[:, left : left + width]
            gram_NN[left : left + width, left:].addmm_(block.mT, part_RN[:, left:])
    gram_NN.triu_().div_(unit * unit)
    return gram_NN.add_(gram_NN.triu(1).mT.contiguous())
