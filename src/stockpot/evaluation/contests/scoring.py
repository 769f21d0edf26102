"""Entrants turned into estimates, and estimates of subsets and pools into rows.

Shapes: R resamples.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from ...extras import optional
from ..predictions.predict import Predictions
from ..predictions.views import split_and_part
from ..results.comparison import Kind, Row
from ..results.intervals import LEVEL, Interval
from ..scores.bootstrap import Estimate, Resampler, mean_estimate, over_pools
from ..scores.metrics import Metric
from ..scores.singles import Singles
from .trial import Entrant

Scores = Mapping[tuple[str, str], Estimate]
"""Estimates by (split or view, metric)."""


@dataclass(frozen=True, slots=True, eq=False)
class Scored:
    """One entrant's estimates, and what fraction of its outputs on each split is not finite."""

    scores: Scores
    non_finite: Mapping[str, float]


def score_predictions(
    predictions: Mapping[str, Predictions],
    metrics: Sequence[Metric],
    resamplers: Mapping[str, Resampler],
    own: Mapping[tuple[str, str], float] | None = None,
) -> Scored:
    """Every metric on every split; `own` has the scores of metrics that run a network themselves.

    An ensemble is no network, and has no score by such a metric.
    """
    scores: dict[tuple[str, str], Estimate] = {}
    for metric in metrics:
        for split, seen in predictions.items():
            key, at = (split, metric.name), resamplers[split]
            if metric.value:
                scores[key] = metric.estimate(seen, at)
            elif own and key in own:
                scores[key] = Estimate(own[key], metric.draws(seen, at), at.originals)
    shares = {split: seen.non_finite / len(seen.logits) for split, seen in predictions.items()}
    return Scored(scores, shares)


class Judge:
    """Scores the entrants of one pool; each single is scored once, however often it takes part."""

    def __init__(
        self, singles: Singles, metrics: Sequence[Metric], resamplers: Mapping[str, Resampler]
    ) -> None:
        self._metrics = metrics
        self._resamplers = resamplers
        self._singles = [
            score_predictions(
                {key: singles.runs[key][i] for key in resamplers},
                metrics,
                resamplers,
                {key: values[i] for key, values in singles.own.items()},
            )
            for i in range(len(singles.pool))
        ]

    def score(self, entrant: Entrant) -> Scored:
        """Every metric on every split."""
        if not entrant.singles:
            return score_predictions(
                entrant.predictions, self._metrics, self._resamplers, entrant.own
            )
        some = [self._singles[i] for i in entrant.singles]
        keys = some[0].scores
        return Scored(
            {key: mean_estimate([one.scores[key] for one in some]) for key in keys},
            {
                split: math.fsum(one.non_finite[split] for one in some) / len(some)
                for split in self._resamplers
            },
        )


@dataclass(slots=True, eq=False)
class Running:
    """The mean over a pool's subsets of one method's scores, kept as sums."""

    kind: Kind
    count: int
    forwards: int
    non_finite: dict[str, float]
    sums: dict[tuple[str, str], Estimate]

    def add(self, entrant: Entrant, scored: Scored) -> None:
        """One more subset."""
        self.count += 1
        self.forwards += entrant.forwards
        for split, share in scored.non_finite.items():
            self.non_finite[split] = self.non_finite.get(split, 0.0) + share
        for key, one in scored.scores.items():
            so_far = self.sums.get(key)
            self.sums[key] = so_far.plus(one) if so_far else one

    def mean(self, key: tuple[str, str]) -> Estimate:
        """Over the subsets so far."""
        return self.sums[key].over(self.count)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a result stands: how many ingredients, which subset, which pool; -1 for several."""

    n: int
    subset: int
    seed: int


class Ledger:
    """All results of a comparison: a row for each trial, and what is needed to sum them up.

    Memory does not grow with the number of subsets, but for the rows themselves.
    """

    def __init__(self, network: str, data: str) -> None:
        self._labels = {"network": network, "data": data}
        self._pools: dict[tuple[int, str], dict[int, Running]] = {}
        self.rows: list[Row] = []

    def add(self, place: Place, entrant: Entrant, scored: Scored) -> None:
        """Note one entrant of one trial."""
        pools = self._pools.setdefault((place.n, entrant.method), {})
        fresh = Running(entrant.kind, 0, 0, {}, {})
        pools.setdefault(place.seed, fresh).add(entrant, scored)
        for key, estimate in scored.scores.items():
            share = scored.non_finite[key[0]]
            self.rows.append(
                self._row(
                    place, entrant.method, entrant.kind, key, estimate, entrant.forwards, share
                )
            )

    def methods(self, n: int) -> list[str]:
        """Names of the methods that have results for N ingredients, in the order they came."""
        return [method for count, method in self._pools if count == n]

    def has(self, n: int, method: str, key: tuple[str, str]) -> bool:
        """Whether there is such a result."""
        pools = self._pools.get((n, method), {})
        return bool(pools) and all(key in one.sums for one in pools.values())

    def estimate(self, n: int, method: str, key: tuple[str, str]) -> Estimate:
        """Mean over subsets, then over pools."""
        return over_pools([one.mean(key) for one in self._pools[n, method].values()])

    def networks(self, n: int, method: str) -> float:
        """Mean over subsets and pools of the network evaluations of one sample."""
        pools = self._pools[n, method].values()
        return sum(one.forwards for one in pools) / sum(one.count for one in pools)

    def summaries(self) -> Iterator[Row]:
        """A row for each method and N that has several trials, over all of them."""
        for (n, method), pools in self._pools.items():
            trials = sum(one.count for one in pools.values())
            if trials == 1:
                continue
            seed = -1 if len(pools) > 1 else next(iter(pools))
            place = Place(n, -1 if trials > len(pools) else 0, seed)
            some = next(iter(pools.values()))
            cost = math.ceil(self.networks(n, method))
            for key in some.sums:
                share = math.fsum(one.non_finite[key[0]] for one in pools.values()) / trials
                estimate = self.estimate(n, method, key)
                yield self._row(place, method, some.kind, key, estimate, cost, share)

    def _row(
        self,
        place: Place,
        method: str,
        kind: Kind,
        key: tuple[str, str],
        estimate: Estimate,
        forwards: int,
        non_finite: float,
    ) -> Row:
        judged, metric = key
        split, part = split_and_part(judged)
        interval = _honest(estimate, metric)
        return Row(
            n=place.n,
            subset=place.subset,
            seed=place.seed,
            method=method,
            kind=kind,
            split=split,
            part=part,
            metric=metric,
            value=interval.value,
            low=interval.low,
            high=interval.high,
            forwards=forwards,
            non_finite=non_finite,
            **self._labels,
        )


def _honest(estimate: Estimate, metric: str) -> Interval:
    """The interval of the draws; Wilson's where all or none are right, which no draw can doubt."""
    if metric != "accuracy" or estimate.value not in (0.0, 1.0):
        return estimate.interval()
    right = round(estimate.value * estimate.units)
    test = optional("scipy.stats").binomtest(right, estimate.units)
    bounds = test.proportion_ci(LEVEL, "wilson")
    return Interval(estimate.value, float(bounds.low), float(bounds.high))
