"""What a merge is expected to be worth, from weights alone, with an interval that was tested."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import astuple, dataclass, replace
from functools import cache, cached_property
from typing import Any

import numpy as np

from ...extras import optional
from .methods import CANDIDATES, candidates
from .ranks import Array, spearman
from .table import MergeRow, pools_of, shipped
from .traits import Traits

LOW, HIGH = -0.2, 1.6
"""Bounds within which qualities are fitted: beyond them one pool would outweigh the others."""
COVERAGE = 0.8
"""Of the intervals, in data sets that the fit has not seen."""
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """What one method is expected to give.

    Attributes:
        method: its name.
        quality: (score - chance) / (mean score of the ingredients - chance).
        low, high: in four of five merges of unseen data sets the quality was between them.
        mended: whether batch-norm statistics are estimated again after merging, which takes data.
    """

    method: str
    quality: float
    low: float
    high: float
    mended: bool = False


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Fitted:
    """A model fitted to all of the table, and what is known of its error.

    Attributes:
        model: of merges with a base, or of those without one.
        width: half an interval over the spread of the trees, from data sets left out in turn.
        error: the measured error, in a sentence.
    """

    model: Model
    width: float
    error: str


@dataclass(frozen=True, eq=False)
class Forecast:
    """What merges are expected to be worth, with a base and without; each fitted when asked for.

    Attributes:
        merges: of the table.
    """

    merges: Sequence[MergeRow]

    @cached_property
    def based(self) -> Fitted:
        """Fitted to the merges as they are."""
        from .leaving import aided

        alone, found = _fitted(self.merges), aided(self.merges)
        if not found:
            return alone
        rank = spearman([one.quality for one in found], [one.merge.quality for one in found])
        more = (
            f" Gradients of a few batches, which this does not look at, would make it {rank:.2f}."
        )
        return replace(alone, error=alone.error + more)

    @cached_property
    def blind(self) -> Fitted:
        """Fitted to those that need no base, from what is known without one."""
        return _fitted(without_base(self.merges))

    @staticmethod
    def fitted() -> "Forecast":
        """From the shipped table; once in a process.

        Raises:
            ExtraError: without scikit-learn.
        """
        return _forecast()

    @property
    def error(self) -> str:
        """The measured error where there is a base, in a sentence; `blind.error` is without one."""
        return self.based.error

    def predict(self, traits: Traits) -> tuple[Expected, ...]:
        """What every method that can merge this pool is expected to give, best first.

        Where there are statistics of batches, each method is there as it is and mended.
        """
        cases = [
            Case(traits=traits, method=one.name, mended=mended)
            for one in candidates(round(traits.count), based=traits.based)
            for mended in ((False, True) if traits.batch_norm else (False,))
        ]
        mine = self.based if traits.based else self.blind
        means, spreads = mine.model.predict(cases)
        found = [
            Expected(
                method=case.method,
                quality=float(mean),
                low=float(mean - mine.width * scale(spread)),
                high=float(mean + mine.width * scale(spread)),
                mended=case.mended,
            )
            for case, mean, spread in zip(cases, means, spreads, strict=True)
        ]
        return tuple(sorted(found, key=lambda one: -one.quality))


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


def without_base(merges: Sequence[MergeRow]) -> list[MergeRow]:
    """The merges that need no base, with the traits that are known without one."""
    needs = {one.name: one.base for one in CANDIDATES}
    blind = {
        one.pool.pool: replace(one.pool, traits=one.pool.traits.without_base()) for one in merges
    }
    return [replace(one, pool=blind[one.pool.pool]) for one in merges if not needs[one.method]]


def fit_model(merges: Sequence[MergeRow], *, gradients: bool = False) -> Model:
    """Fitted to some merges of the table, from weights alone or from gradients too."""
    return Model(cases_of(merges, gradients=gradients), [one.quality for one in merges])


def _row(case: Case) -> list[float]:
    traits = [_UNKNOWN if math.isnan(one) else float(one) for one in astuple(case.traits)]
    is_method = [float(case.method == one.name) for one in CANDIDATES]
    return [*traits, float(case.mended), _REACH[case.method], *is_method, *case.gradients]


_REACH = {one.name: one.reach for one in CANDIDATES}


@cache
def _forecast() -> Forecast:
    optional("sklearn.ensemble")
    return Forecast(shipped())


def _fitted(merges: Sequence[MergeRow]) -> Fitted:
    from .leaving import by_data, left_out, width_of

    found = left_out(merges, by_data)
    rank = spearman([one.quality for one in found], [one.merge.quality for one in found])
    return Fitted(
        model=fit_model(merges),
        width=width_of(found, COVERAGE),
        error=f"Spearman {rank:.2f} over {len(merges)} merges of {len(pools_of(merges))} pools, "
        "each data set left out in turn, from weights alone.",
    )
