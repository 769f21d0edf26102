"""How good the forecast is where it has seen neither the data set nor the architecture."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from itertools import pairwise

import numpy as np

from ...evaluation.intervals import Interval
from ...evaluation.plain import plain_values, rows_csv
from .forecast import COVERAGE, fit_model
from .leaving import BASELINES, Guess, by_data, by_network, guesses, left_out, spearman, width_of
from .table import MergeRow, pools_of

MODEL = "forecast"
POINT = 0.01
"""Of balanced accuracy."""
FEWEST = 10
"""Merges that a method needs for a rank correlation of its own."""
SIZES = (5, 10, 20, 40, 80)
"""Pools of the learning curve."""
DRAWS = 3
RESAMPLES = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Rank:
    """Spearman's rank correlation between what was forecast and what was seen.

    Attributes:
        left: what was left out in turn, "data" or "network".
        part: the part, or "all".
        among: "all" merges, those of "same origin", or "within a method", the mean over methods.
        predictor: the forecast, or a baseline.
        value, low, high: with the 95% interval by resampling pools.
        merges, pools: how many it is of.
    """

    left: str
    part: str
    among: str
    predictor: str
    value: float
    low: float
    high: float
    merges: int
    pools: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
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
class Advice:
    """A rule that recommends one merge of each pool.

    Attributes:
        rule: its name.
        within: share of pools whose recommended merge is within one point of the pool's best.
        low, high: the 95% interval by resampling pools.
        regret: mean difference to the best, in balanced accuracy.
        pools: how many.
        among: "all" pools, or those of the "same origin".
    """

    rule: str
    among: str
    within: float
    low: float
    high: float
    regret: float
    pools: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Learned:
    """Rank correlation in data sets left out, after fitting to so many pools of the others."""

    pools: int
    overall: float
    same_origin: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Validation:
    """What `validate` found.

    Attributes:
        merges, pools: of the table.
        ranks, points, bins, advice, curve: as their kinds say.
        coverage: by data set, the share of its merges inside intervals whose width is from the
            others; and "all".
        width: of intervals, over the spread, from all.
    """

    merges: int
    pools: int
    ranks: tuple[Rank, ...]
    points: tuple[Point, ...]
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

    def to_csv(self) -> str:
        """All rank correlations under a header of the column names."""
        return rows_csv(Rank, self.ranks)

    def as_dict(self) -> dict[str, object]:
        """Everything, as JSON has it."""
        return {key: plain_values(value) for key, value in asdict(self).items()}


def validate(merges: Sequence[MergeRow], *, curve: bool = True) -> Validation:
    """Leave each data set out in turn, then each architecture, and compare with what was seen.

    Args:
        merges: the table.
        curve: whether to fit to fewer pools too, which takes most of the time.
    """
    data, network = left_out(merges, by_data), left_out(merges, by_network)
    width = width_of(data, COVERAGE)
    ranks = list[Rank]()
    for left, found in (("data", data), ("network", network)):
        ranks += _ranks(left, "all", found)
        for part in dict.fromkeys(one.part for one in found):
            ranks += _ranks(left, part, [one for one in found if one.part == part])
    return Validation(
        merges=len(merges),
        pools=len(pools_of(merges)),
        ranks=tuple(ranks),
        points=tuple(_point(one, width) for one in data),
        bins=_bins(data),
        coverage=_coverage(data),
        advice=tuple(_advice(data)),
        curve=tuple(_curve(merges)) if curve else (),
        width=width,
    )


def _same(found: Sequence[Guess]) -> list[Guess]:
    return [one for one in found if one.merge.pool.same_origin]


def _ranks(left: str, part: str, found: Sequence[Guess]) -> list[Rank]:
    told = list[Rank]()
    groups: tuple[tuple[str, Sequence[Guess], Callable[..., float]], ...] = (
        ("all", found, _overall),
        ("same origin", _same(found), _overall),
        ("within a method", found, _within),
    )
    for among, those, measure in groups:
        if len(those) < FEWEST:
            continue
        for place, predictor in enumerate((MODEL, *BASELINES)):
            span = _resampled(those, partial(measure, place=place), spans=part == "all")
            told.append(
                Rank(
                    left=left,
                    part=part,
                    among=among,
                    predictor=predictor,
                    value=span.value,
                    low=span.low,
                    high=span.high,
                    merges=len(those),
                    pools=len({one.merge.pool.pool for one in those}),
                )
            )
    return told


def _said(one: Guess, place: int) -> float:
    return one.quality if place == 0 else one.baselines[place - 1]


def _overall(found: Sequence[Guess], place: int) -> float:
    return spearman([_said(one, place) for one in found], [one.merge.quality for one in found])


def _within(found: Sequence[Guess], place: int) -> float:
    groups = dict[tuple[str, bool], list[Guess]]()
    for one in found:
        groups.setdefault((one.merge.method, one.merge.mended), []).append(one)
    each = [_overall(group, place) for group in groups.values() if len(group) >= FEWEST]
    return float(np.mean(each)) if each else 0.0


def _resampled(
    found: Sequence[Guess], measure: Callable[[Sequence[Guess]], float], *, spans: bool
) -> Interval:
    """With the interval by resampling pools, each with all its merges."""
    value = measure(found)
    groups = dict[str, list[Guess]]()
    for one in found:
        groups.setdefault(one.merge.pool.pool, []).append(one)
    pools = list(groups.values())
    if not spans or len(pools) < 2:
        return Interval(value, float("nan"), float("nan"))
    random = np.random.default_rng(0)
    values = list[float]()
    for _ in range(RESAMPLES):
        drawn: list[int] = random.integers(len(pools), size=len(pools)).tolist()
        values.append(measure([one for at in drawn for one in pools[at]]))
    low, high = np.quantile(values, (0.025, 0.975))
    return Interval(value, float(low), float(high))


def _point(one: Guess, width: float) -> Point:
    pool = one.merge.pool
    return Point(
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


def _advice(found: Sequence[Guess]) -> list[Advice]:
    """The forecast's advice, beside always averaging and the method that is best on average."""
    rules: tuple[tuple[str, Callable[[Guess], float]], ...] = (
        (MODEL, lambda one: one.quality),
        ("always average, mended", lambda one: _is_average(one) + 0.5 * one.merge.mended),
        ("best mean per method", lambda one: one.baselines[0]),
    )
    told = list[Advice]()
    for among, those in (("all", found), ("same origin", _same(found))):
        groups = dict[str, list[Guess]]()
        for one in those:
            groups.setdefault(one.merge.pool.pool, []).append(one)
        for rule, key in rules:
            lost = np.asarray([_regret(group, key) for group in groups.values()])
            near = (lost <= POINT + 1e-9).astype(float)
            random = np.random.default_rng(0)
            drawn = near[random.integers(len(near), size=(RESAMPLES, len(near)))].mean(axis=1)
            low, high = np.quantile(drawn, (0.025, 0.975))
            told.append(
                Advice(
                    rule=rule,
                    among=among,
                    within=float(near.mean()),
                    low=float(low),
                    high=float(high),
                    regret=float(lost.mean()),
                    pools=len(near),
                )
            )
    return told


def _is_average(one: Guess) -> float:
    return float(one.merge.method == "average")


def _regret(group: Sequence[Guess], key: Callable[[Guess], float]) -> float:
    best = max(one.merge.score for one in group)
    return best - max(group, key=key).merge.score


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
            scores.append((_overall(found, 0), _overall(_same(found), 0)))
        overall, same = np.mean(scores, axis=0)
        told.append(Learned(pools=size, overall=float(overall), same_origin=float(same)))
    return told
