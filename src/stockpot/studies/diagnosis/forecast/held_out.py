"""Trees fitted to merges of the table, with a part left out that is then forecast."""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import astuple, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ....libraries import optional
from .table import CANDIDATES, MergeRow, PoolRow
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


Fold = Callable[[PoolRow], str]
"""The part that a pool belongs to."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Guess:
    """One merge that a model had not seen, nor anything of its part.

    Attributes:
        merge: what it is about.
        part: what was left out.
        quality: as forecast.
        spread: what its interval is proportional to.
        baselines: what simpler rules say, by their names in `BASELINES`.
    """

    merge: MergeRow
    part: str
    quality: float
    spread: float
    baselines: tuple[float, float, float]

    @property
    def error(self) -> float:
        """Seen less forecast."""
        return self.merge.quality - self.quality


BASELINES = ("mean per method", "same-origin flag", "plain cosine")
"""The mean of the method in the other parts; the mean of pools that do, or do not, come from one
start, in the other parts; and the mean cosine of two models, as it is."""


def by_data(pool: PoolRow) -> str:
    """The data set."""
    return pool.data


def by_network(pool: PoolRow) -> str:
    """The architecture."""
    return pool.network


def left_out(
    merges: Sequence[MergeRow], fold: Fold, *, gradients: bool = False
) -> tuple[Guess, ...]:
    """Every merge as it is forecast by a model fitted to the other parts alone.

    All merges of a pool are on one side, as a pool belongs to one part.

    Args:
        merges: the table.
        fold: the part of a pool.
        gradients: whether to look at what a few batches tell, beside the weights.
    """
    found = list[Guess]()
    for part in dict.fromkeys(fold(one.pool) for one in merges):
        rest = [one for one in merges if fold(one.pool) != part]
        if rest:
            own = [one for one in merges if fold(one.pool) == part]
            model = fit_model(rest, gradients=gradients)
            found += guesses(model, rest, own, part, gradients=gradients)
    return tuple(found)


def aided(merges: Sequence[MergeRow]) -> tuple[Guess, ...]:
    """With gradients too, each data set left out; nothing where some pool lacks them."""
    there = all(one.pool.gradients for one in merges)
    return left_out(merges, by_data, gradients=True) if there else ()


def guesses(
    model: Model,
    rest: Sequence[MergeRow],
    own: Sequence[MergeRow],
    part: str,
    *,
    gradients: bool = False,
) -> list[Guess]:
    """What a model, and baselines, that know `rest` say of `own`."""
    means, spreads = model.predict(cases_of(own, gradients=gradients))
    per_method = _means(rest, lambda one: f"{one.method} {one.mended}")
    per_origin = _means(rest, lambda one: str(one.pool.same_origin))
    every = float(np.mean([one.quality for one in rest]))
    return [
        Guess(
            merge=one,
            part=part,
            quality=float(mean),
            spread=scale(float(spread)),
            baselines=(
                per_method.get(f"{one.method} {one.mended}", every),
                per_origin.get(str(one.pool.same_origin), every),
                one.pool.traits.cosine,
            ),
        )
        for one, mean, spread in zip(own, means, spreads, strict=True)
    ]


def width_of(found: Sequence[Guess], coverage: float) -> float:
    """Half an interval over the spread, so that this share of the errors is inside."""
    ratios = sorted(abs(one.error) / one.spread for one in found)
    return ratios[min(int(np.ceil(coverage * (len(ratios) + 1))) - 1, len(ratios) - 1)]


def _means(merges: Sequence[MergeRow], key: Callable[[MergeRow], str]) -> dict[str, float]:
    groups = dict[str, list[float]]()
    for one in merges:
        groups.setdefault(key(one), []).append(one.quality)
    return {name: float(np.mean(values)) for name, values in groups.items()}


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
