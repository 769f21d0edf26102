"""Leaving a part of the table out, fitting to the rest, and forecasting what was left out."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from ....libraries import optional
from .table import MergeRow, PoolRow
from .trees import Array, Model, cases_of, fit_model, scale

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
