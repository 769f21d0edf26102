"""How good forecasts were: rank correlations with what was seen, and how good their advice is."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ....evaluation.results.intervals import Interval
from .held_out import BASELINES, Array, Guess, spearman

Places = npt.NDArray[np.intp]
MODEL, AIDED = "forecast", "with gradients"
FEWEST = 10
"""Merges that a method needs for a rank correlation of its own."""
RESAMPLES = 500
POINT = 0.01
"""Of balanced accuracy."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rank:
    """Spearman's rank correlation between what was forecast and what was seen.

    Attributes:
        left: what was left out in turn, "data" or "network".
        part: the part, or "all".
        among: "all" merges, those of "same origin", or "within a method", the mean over methods.
        predictor: the forecast, or a baseline.
        value, low, high: with the 95% interval by resampling pools; bounds are of all parts only.
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


@dataclass(frozen=True, slots=True, eq=False)
class _Columns:
    """Of N merges: what each predictor said, what was seen, the method, the pool."""

    said: dict[str, Array]
    seen: Array
    method: Places
    pool: Places

    @staticmethod
    def of(found: Sequence[Guess]) -> "_Columns":
        methods = _numbers([f"{one.merge.method} {one.merge.mended}" for one in found])
        each = [(one.quality, *one.baselines) for one in found]
        return _Columns(
            said={
                name: np.asarray([one[place] for one in each])
                for place, name in enumerate((MODEL, *BASELINES))
            },
            seen=np.asarray([one.merge.quality for one in found]),
            method=methods,
            pool=_numbers([one.merge.pool.pool for one in found]),
        )

    def rank(self, among: str, predictor: str, index: Places) -> float:
        """Of the merges at these places."""
        said, seen = self.said[predictor][index], self.seen[index]
        if among != "within a method":
            return spearman(said, seen)
        method = self.method[index]
        groups = [method == one for one in np.unique(method)]
        each = [spearman(said[one], seen[one]) for one in groups if one.sum() >= FEWEST]
        return float(np.mean(each)) if each else 0.0


def rank_correlations(
    left: str, part: str, found: Sequence[Guess], resamples: int = RESAMPLES
) -> list[Rank]:
    """Among all of some merges, those of one origin, and within methods; baselines beside ours."""
    told = list[Rank]()
    for among in ("all", "same origin", "within a method"):
        those = same_origin(found) if among == "same origin" else found
        if len(those) < FEWEST:
            continue
        columns = _Columns.of(those)
        for predictor in (MODEL, *BASELINES):
            span = _span(columns, among, predictor, resamples=resamples if part == "all" else 0)
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
                    pools=len(np.unique(columns.pool)),
                )
            )
    return told


def same_origin(found: Sequence[Guess]) -> list[Guess]:
    """Merges of pools whose ingredients all come from the base."""
    return [one for one in found if one.merge.pool.same_origin]


def _span(columns: _Columns, among: str, predictor: str, *, resamples: int) -> Interval:
    """With the interval by resampling pools, each with all its merges."""
    value = columns.rank(among, predictor, np.arange(len(columns.seen), dtype=np.intp))
    if not resamples:
        return Interval(value, float("nan"), float("nan"))
    places = [np.flatnonzero(columns.pool == one) for one in np.unique(columns.pool)]
    random = np.random.default_rng(0)
    values = list[float]()
    for _ in range(resamples):
        drawn: list[int] = random.integers(len(places), size=len(places)).tolist()
        index = np.concatenate([places[at] for at in drawn])
        values.append(columns.rank(among, predictor, index))
    low, high = np.quantile(values, (0.025, 0.975))
    return Interval(value, float(low), float(high))


def _numbers(words: Sequence[str]) -> Places:
    known = {word: number for number, word in enumerate(dict.fromkeys(words))}
    return np.asarray([known[word] for word in words], dtype=np.intp)


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


def advise(found: Sequence[Guess]) -> list[Advice]:
    """The forecast's advice, beside always averaging and the method that is best on average."""
    rules: tuple[tuple[str, Callable[[Guess], float]], ...] = (
        (MODEL, lambda one: one.quality),
        ("always average, mended", lambda one: _is_average(one) + 0.5 * one.merge.mended),
        ("best mean per method", lambda one: one.baselines[0]),
    )
    told = list[Advice]()
    for among, those in (("all", found), ("same origin", same_origin(found))):
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
