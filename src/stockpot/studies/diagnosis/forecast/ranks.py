"""Rank correlation."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from ....extras import optional

Array = npt.NDArray[np.float64]


def spearman(one: Sequence[float] | Array, other: Sequence[float] | Array) -> float:
    """Rank correlation, ties at their mean rank; 0 where either side is constant.

    SciPy's ranks, without the p-value that takes most of the time of its spearmanr.

    Example:
        >>> round(spearman([1, 2, 3], [2, 4, 9]), 6)
        1.0
    """
    ranks = optional("scipy.stats").rankdata([one, other], axis=1)
    if np.ptp(ranks, axis=1).min() == 0:
        return 0.0
    return float(np.corrcoef(ranks)[0, 1])
