"""What the references work on: state dicts as float64 arrays, and numbers per model."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
State = dict[str, Array]


def each(value: float | Sequence[float], count: int) -> list[float]:
    """One number per model."""
    return list(value) if isinstance(value, list | tuple) else [float(value)] * count  # type: ignore[arg-type]
