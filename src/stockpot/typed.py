"""What torch leaves untyped, given its type in one place."""

from typing import Any, cast

import numpy.typing as npt
import torch
from torch import Tensor


def to_numpy(tensor: Tensor) -> npt.NDArray[Any]:
    """The tensor's own memory as an array; the tensor is on the CPU."""
    return cast(npt.NDArray[Any], cast(Any, tensor).numpy())


def from_numpy(array: npt.NDArray[Any]) -> Tensor:
    """The array's own memory as a tensor."""
    return cast(Tensor, cast(Any, torch).from_numpy(array))


def to_floats(tensor: Tensor) -> list[float]:
    """The elements, flattened, as Python floats."""
    return cast(list[float], cast(Any, tensor).flatten().tolist())
