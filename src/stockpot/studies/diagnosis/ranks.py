"""Rank correlation."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]


def spearman(one: Sequence[float] | Array, other: Sequence[float] | Array) -> float:
    """Rank correlation, ties at their mean rank; 0 where either side is constant.

    Example:
        >>> round(spearman([1, 2, 3], [2, 4, 9]), 6)
        1.0
    """
    a, b = (ranks(np.asarray(each, dtype=np.float64)) for each in (one, other))
    a, b = a - a.mean(), b - b.mean()
    length = float(np.sqrt((a @ a) * (b @ b)))
    return float(a @ b) / length if length > 0 else 0.0


def ranks(values: Array) -> Array:
    """From 1 on; equal values share their mean rank.

    Example:
        >>> ranks(np.array([5.0, 1.0, 5.0])).tolist()
        [2.5, 1.0, 2.5]
    """
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    return (np.cumsum(counts) - (counts - 1) / 2)[place]
