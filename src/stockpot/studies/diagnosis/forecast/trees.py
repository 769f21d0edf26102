"""Trees over what is known of a pool and of a method, fitted to merges of the table."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import astuple, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ....libraries import optional
from .candidates import CANDIDATES
from .table import MergeRow
from .traits import Traits

Array = npt.NDArray[np.float64]
LOW, HIGH = -0.2, 1.6
"""Bounds within which qualities are fitted: beyond them one pool would outweigh the others."""
TREES, LEAF, SHARE = 100, 3, 0.3
"""Trees of the forest, merges in a leaf, share of the columns that a cut may choose from."""
_UNKNOWN = -9.0
"""Stands for what is known with a base only; below all values, so that a cut tells it apart."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """What is forecast: one merge of one pool."""

    traits: Traits
    method: str
    mended: bool
    gradients: tuple[float, ...] = ()
    """More columns, where they are looked at."""


class Model:
    """A random forest over traits and methods; mean and spread over trees.

    Source: Breiman, Random forests, 2001.
    """

    def __init__(self, cases: Sequence[Case], qualities: Sequence[float]) -> None:
        self._forest: Any = optional("sklearn.ensemble").RandomForestRegressor(
            TREES, min_samples_leaf=LEAF, max_features=SHARE, random_state=0
        )
        self._forest.fit(matrix(cases), np.clip(qualities, LOW, HIGH))

    def predict(self, cases: Sequence[Case]) -> tuple[Array, Array]:
        """Means and standard deviations over trees, each [N]."""
        inputs = matrix(cases).astype(np.float32)  # what trees cut
        each = np.stack([one.tree_.predict(inputs)[:, 0] for one in self._forest.estimators_])
        return each.mean(axis=0), each.std(axis=0)


def scale(spread: float) -> float:
    """What an interval is proportional to; noise of a test split is there where trees agree."""
    return spread + 0.02


def matrix(cases: Sequence[Case]) -> Array:
    """Inputs of the trees: traits, what a method is as numbers, and a column for each method."""
    return np.asarray([_row(one) for one in cases], dtype=np.float64)


def cases_of(merges: Iterable[MergeRow], *, gradients: bool = False) -> list[Case]:
    """What is forecast of the table's merges, from weights alone or from gradients too."""
    return [
        Case(
            traits=one.pool.traits,
            method=one.method,
            mended=one.mended,
            gradients=one.pool.gradients if gradients else (),
        )
        for one in merges
    ]


def fit_model(merges: Sequence[MergeRow], *, gradients: bool = False) -> Model:
    """Fitted to some merges of the table, from weights alone or from gradients too."""
    return Model(cases_of(merges, gradients=gradients), [one.quality for one in merges])


def _row(case: Case) -> list[float]:
    traits = [_UNKNOWN if math.isnan(one) else float(one) for one in astuple(case.traits)]
    is_method = [float(case.method == one.name) for one in CANDIDATES]
    return [*traits, float(case.mended), _REACH[case.method], *is_method, *case.gradients]


_REACH = {one.name: one.reach for one in CANDIDATES}
