"""How good the forecast is where it has seen neither the data set nor the architecture."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any, ClassVar

import numpy as np

from ....values.result import Result
from .fitted import COVERAGE
from .held_out import (
    Guess,
    aided,
    by_data,
    by_network,
    fit_model,
    guesses,
    left_out,
    spearman,
    width_of,
)
from .scoring import AIDED, MODEL, RESAMPLES, Advice, Rank, advise, rank_correlations, same_origin
from .table import MergeRow, pools_of

SIZES = (5, 10, 20, 40, 80)
"""Pools of the learning curve."""
DRAWS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class ForecastPoint:
    """One merge, forecast with its data set left out, as a figure shows it."""

    data: str
    network: str
    relation: str
    method: str
    mended: bool
    forecast: float
    low: float
    high: float
    seen: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Bin:
    """Merges of similar forecasts: their mean, and the mean and quartiles of what was seen."""

    forecast: float
    seen: float
    low: float
    high: float
    merges: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Learned:
    """Rank correlation in data sets left out, after fitting to so many pools of the others."""

    pools: int
    overall: float
    same_origin: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Validation(Result):
    """What `validate` found.

    Attributes:
        merges, pools: of the table.
        ranks, points, bins, advice, curve: as their kinds say.
        coverage: by data set, the share of its merges inside intervals whose width is from the
            others; and "all".
        width: of intervals, over the spread, from all.
    """

    file_kind: ClassVar[str] = "validation"
    main_figure: ClassVar[str] = "stockpot.studies.diagnosis.forecast.figures:plot_forecast"

    merges: int
    pools: int
    ranks: tuple[Rank, ...]
    points: tuple[ForecastPoint, ...]
    bins: tuple[Bin, ...]
    coverage: tuple[tuple[str, float], ...]
    advice: tuple[Advice, ...]
    curve: tuple[Learned, ...]
    width: float

    def rank(
        self, among: str = "all", predictor: str = MODEL, left: str = "data", part: str = "all"
    ) -> Rank:
        """One of the ranks."""
        wanted = (left, part, among, predictor)
        return next(r for r in self.ranks if (r.left, r.part, r.among, r.predictor) == wanted)

    @property
    def sentences(self) -> tuple[str, ...]:
        """How good forecasts of data sets are that the fit has not seen."""
        rank = self.rank()
        return (
            f"Forecasts of data sets left out in turn have a rank correlation of {rank.value:.2f} "
            f"with what {rank.merges} merges of {rank.pools} pools were worth.",
        )

    def table(self) -> tuple[type[Any], Sequence[object]]:
        """All rank correlations."""
        return Rank, self.ranks


def validate(
    merges: Sequence[MergeRow], *, curve: bool = True, resamples: int = RESAMPLES
) -> Validation:
    """Leave each data set out in turn, then each architecture, and compare with what was seen.

    Args:
        merges: the table.
        curve: whether to fit to fewer pools too, which takes most of the time.
        resamples: of pools, for intervals of rank correlations.
    """
    data, network = left_out(merges, by_data), left_out(merges, by_network)
    width = width_of(data, COVERAGE)
    ranks = list[Rank]()
    for left, found in (("data", data), ("network", network)):
        ranks += rank_correlations(left, "all", found, resamples)
        for part in dict.fromkeys(one.part for one in found):
            ranks += rank_correlations(left, part, [one for one in found if one.part == part])
    if more := aided(merges):
        found = rank_correlations("data", "all", more, resamples)
        ranks += [replace(one, predictor=AIDED) for one in found if one.predictor == MODEL]
    return Validation(
        merges=len(merges),
        pools=len(pools_of(merges)),
        ranks=tuple(ranks),
        points=tuple(_point(one, width) for one in data),
        bins=_bins(data),
        coverage=_coverage(data),
        advice=tuple(advise(data)),
        curve=tuple(_curve(merges)) if curve else (),
        width=width,
    )


def _point(one: Guess, width: float) -> ForecastPoint:
    pool = one.merge.pool
    return ForecastPoint(
        data=pool.data,
        network=pool.network,
        relation=pool.relation,
        method=one.merge.method,
        mended=one.merge.mended,
        forecast=one.quality,
        low=one.quality - width * one.spread,
        high=one.quality + width * one.spread,
        seen=one.merge.quality,
    )


def _bins(found: Sequence[Guess], count: int = 8) -> tuple[Bin, ...]:
    ordered = sorted(found, key=lambda one: one.quality)
    edges = [len(ordered) * at // count for at in range(count + 1)]
    told = list[Bin]()
    for start, end in pairwise(edges):
        part = ordered[start:end]
        if not part:
            continue
        seen = [one.merge.quality for one in part]
        low, high = np.quantile(seen, (0.25, 0.75))
        forecast = float(np.mean([one.quality for one in part]))
        told.append(
            Bin(
                forecast=forecast,
                seen=float(np.mean(seen)),
                low=float(low),
                high=float(high),
                merges=len(part),
            )
        )
    return tuple(told)


def _coverage(found: Sequence[Guess]) -> tuple[tuple[str, float], ...]:
    """Of intervals whose width comes from the other data sets."""
    told, inside = list[tuple[str, float]](), list[bool]()
    for part in dict.fromkeys(one.part for one in found):
        others = [one for one in found if one.part != part]
        if not others:
            continue
        width = width_of(others, COVERAGE)
        own = [abs(one.error) <= width * one.spread for one in found if one.part == part]
        told.append((part, float(np.mean(own))))
        inside += own
    return (("all", float(np.mean(inside))), *told) if inside else ()


def _curve(merges: Sequence[MergeRow]) -> list[Learned]:
    told = list[Learned]()
    random = np.random.default_rng(0)
    parts = list(dict.fromkeys(one.pool.data for one in merges))
    most = min(len({one.pool.pool for one in merges if one.pool.data != part}) for part in parts)
    for size in [*(one for one in SIZES if one < most), most]:
        scores = list[tuple[float, float]]()
        for _ in range(DRAWS):
            found = list[Guess]()
            for part in parts:
                rest = [one for one in merges if one.pool.data != part]
                own = [one for one in merges if one.pool.data == part]
                names = sorted({one.pool.pool for one in rest})
                places = [int(at) for at in random.permutation(len(names))[:size]]
                chosen = {names[at] for at in places}
                some = [one for one in rest if one.pool.pool in chosen]
                found += guesses(fit_model(some), some, own, part)
            scores.append((_overall(found), _overall(same_origin(found))))
        overall, same = np.mean(scores, axis=0)
        told.append(Learned(pools=size, overall=float(overall), same_origin=float(same)))
    return told


def _overall(found: Sequence[Guess]) -> float:
    return spearman([one.quality for one in found], [one.merge.quality for one in found])
