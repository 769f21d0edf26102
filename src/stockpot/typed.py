"""What torch leaves untyped, given its type in one place."""

from typing import Any, cast

import numpy.typing as npt

from .lazy import Tensor, torch


def to_numpy(tensor: Tensor) -> npt.NDArray[Any]:
    """The tensor's own memory as an array; the tensor is on the CPU."""
    return cast(npt.NDArray[Any], cast(Any, tensor).numpy())


def from_numpy(array: npt.NDArray[Any]) -> Tensor:
    """The array's own memory as a tensor."""
    return cast(Tensor, cast(Any, torch).from_numpy(array))


def to_floats(tensor: Tensor) -> list[float]:
    """The elements, flattened, as Python floats."""
    return cast(list[float], cast(Any, tensor).flatten().tolist())


def length(values: Tensor) -> float:
    """Root of the sum of squares, added up in float64."""
    norm = cast(Any, torch.linalg).vector_norm(values, dtype=torch.float64)
    return float(cast(Tensor, norm))


def svd(matrix_MN: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Thin U, descending singular values, V^T."""
    found = cast(Any, torch.linalg).svd(matrix_MN, full_matrices=False)
    return cast(tuple[Tensor, Tensor, Tensor], tuple(found))


def eigh(matrix_NN: Tensor) -> tuple[Tensor, Tensor]:
    """Descending eigenvalues of a symmetric matrix, and its eigenvectors as columns."""
    values_N, vectors_NN = cast(tuple[Tensor, Tensor], cast(Any, torch.linalg).eigh(matrix_NN))
    return values_N.flip(0), vectors_NN.flip(1)


def orthonormal(block_NQ: Tensor) -> Tensor:
    """An orthonormal basis of the span of the columns."""
    return cast(Tensor, cast(Any, torch.linalg).qr(block_NQ).Q)


def eigenvalues(matrix_NN: Tensor) -> Tensor:
    """Those of a symmetric matrix, descending."""
    return cast(Tensor, cast(Any, torch.linalg).eigvalsh(matrix_NN)).flip(0)


def solve_lower(lower_NN: Tensor, right_NM: Tensor, *, transposed: bool = False) -> Tensor:
    """`L⁻¹ B`, or `L⁻ᵀ B`."""
    solve = cast(Any, torch.linalg).solve_triangular
    matrix_NN = lower_NN.mT if transposed else lower_NN
    return cast(Tensor, solve(matrix_NN, right_NM, upper=transposed))


def cholesky(matrix_NN: Tensor) -> Tensor:
    """L of a symmetric positive definite matrix `L Lᵀ`."""
    return cast(Tensor, cast(Any, torch.linalg).cholesky(matrix_NN))


def has_cholesky(matrix_NN: Tensor) -> bool:
    """Whether a symmetric matrix is positive definite, to rounding."""
    return not int(cast(Any, torch.linalg).cholesky_ex(matrix_NN).info)
