"""Everything that was entered in a contest: a row each, and what sums them up.

Shapes: R resamples.
"""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from ..predictions.predict import Predictions
from ..predictions.views import split_and_part
from ..results.comparison import ALL_TASKS, Kind, Row
from ..results.estimator import holm
from ..results.intervals import Difference
from ..scores.bootstrap import Estimate, over_pools
from ..scores.scores import Scores, mean_over_tasks


@dataclass(frozen=True, slots=True)
class RowPlace:
    """Where a result stands: how many ingredients, which subset, which pool; -1 for several."""

    n: int
    subset: int
    seed: int


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Entrant:
    """What one method gives on one task.

    Attributes:
        method, kind: as in the table.
        forwards: network evaluations that one sample costs.
        predictions: on each split and view.
        scores: by every metric.
    """

    method: str
    kind: Kind
    forwards: int
    predictions: Mapping[str, Predictions]
    scores: Scores


class Ledger:
    """All results of a contest, for each task and, where there are several, the mean over them.

    Memory does not grow with the number of subsets, but for the rows themselves.

    Args:
        network: what rows call the networks.
        tasks: their names, in order.
    """

    def __init__(self, network: str, tasks: Sequence[str]) -> None:
        self.whole = ALL_TASKS if len(tasks) > 1 else tasks[0]
        """What rows call the mean over tasks, or the only one."""
        self.tasks = tuple(tasks)
        self.network = network
        self._books = {name: _Book(network, name) for name in dict.fromkeys((self.whole, *tasks))}

    def enter(self, place: RowPlace, entrants: Sequence[Entrant]) -> None:
        """Note what one method gives on the first tasks, one after another."""
        for name, entrant in zip(self.tasks, entrants, strict=False):
            self._books[name].enter(place, entrant, entrant.scores)
        if self.whole not in self.tasks:
            mean = mean_over_tasks([one.scores for one in entrants])
            self._books[self.whole].enter(place, entrants[0], mean)

    def rows(self) -> tuple[Row, ...]:
        """Of every subset, then over all subsets and pools; the mean over tasks comes first."""
        return tuple(
            row for book in self._books.values() for row in (*book.rows, *book.summaries())
        )

    def methods(self, n: int) -> list[str]:
        """Names of the methods that have results for N ingredients, in the order they came."""
        return [method for count, method in self._books[self.whole].results if count == n]

    def has(self, n: int, method: str, key: tuple[str, str]) -> bool:
        """Whether there is such a result."""
        pools = self._books[self.whole].results.get((n, method), {})
        return bool(pools) and all(key in one.sums for one in pools.values())

    def estimate(self, n: int, method: str, key: tuple[str, str]) -> Estimate:
        """Mean over subsets, then over pools."""
        return self._books[self.whole].estimate(n, method, key)

    def forwards(self, n: int, method: str) -> float:
        """Mean over subsets and pools of the network evaluations of one sample."""
        return self._books[self.whole].forwards(n, method)

    def kind(self, n: int, method: str) -> Kind:
        """What a method is."""
        return next(iter(self._books[self.whole].results[n, method].values())).kind

    def differences(
        self, n: int, pairs: Iterable[tuple[str, str]], metric: str, judged: str = "test"
    ) -> list[Difference]:
        """How far the first of each pair stands above the other on a split or view, paired.

        A p is of the two being alike, after Holm's correction for all of these pairs.
        """
        key, names = (judged, metric), list(pairs)
        gaps = [self.estimate(n, a, key).minus(self.estimate(n, b, key)) for a, b in names]
        p_values = holm([gap.p_of_none() for gap in gaps])
        part = split_and_part(judged)[1]
        return [
            Difference(a, b, gap.interval(), n, part, p)
            for (a, b), gap, p in zip(names, gaps, p_values, strict=True)
        ]


@dataclass(slots=True, eq=False)
class _Sum:
    """One method's scores over a pool's subsets."""

    kind: Kind
    count: int = 0
    forwards: int = 0
    non_finite: dict[str, float] = field(default_factory=dict[str, float])
    sums: dict[tuple[str, str], Estimate] = field(default_factory=dict[tuple[str, str], Estimate])

    def add(self, forwards: int, scores: Scores) -> None:
        """One more subset."""
        self.count += 1
        self.forwards += forwards
        for split, share in scores.non_finite.items():
            self.non_finite[split] = self.non_finite.get(split, 0.0) + share
        for key, one in scores.estimates.items():
            so_far = self.sums.get(key)
            self.sums[key] = so_far.plus(one) if so_far else one


class _Book:
    """The results of one task, or of the mean over tasks."""

    def __init__(self, network: str, data: str) -> None:
        self._labels = {"network": network, "data": data}
        self.results: dict[tuple[int, str], dict[int, _Sum]] = {}
        self.rows: list[Row] = []

    def enter(self, place: RowPlace, entrant: Entrant, scores: Scores) -> None:
        pools = self.results.setdefault((place.n, entrant.method), {})
        pools.setdefault(place.seed, _Sum(entrant.kind)).add(entrant.forwards, scores)
        self.rows += [
            self._row(place, entrant, key, estimate, scores.non_finite[key[0]])
            for key, estimate in scores.estimates.items()
        ]

    def estimate(self, n: int, method: str, key: tuple[str, str]) -> Estimate:
        pools = self.results[n, method].values()
        return over_pools([one.sums[key].over(one.count) for one in pools])

    def forwards(self, n: int, method: str) -> float:
        pools = self.results[n, method].values()
        return sum(one.forwards for one in pools) / sum(one.count for one in pools)

    def summaries(self) -> Iterator[Row]:
        """A row for each method and N that has several subsets, over all of them."""
        for (n, method), pools in self.results.items():
            subsets = sum(one.count for one in pools.values())
            if subsets == 1:
                continue
            seed = -1 if len(pools) > 1 else next(iter(pools))
            place = RowPlace(n, -1 if subsets > len(pools) else 0, seed)
            some = next(iter(pools.values()))
            mean = Entrant(
                method=method,
                kind=some.kind,
                forwards=math.ceil(self.forwards(n, method)),
                predictions={},
                scores=Scores({}, {}),
            )
            for key in some.sums:
                share = math.fsum(one.non_finite[key[0]] for one in pools.values()) / subsets
                yield self._row(place, mean, key, self.estimate(n, method, key), share)

    def _row(
        self,
        place: RowPlace,
        entrant: Entrant,
        key: tuple[str, str],
        estimate: Estimate,
        non_finite: float,
    ) -> Row:
        judged, metric = key
        split, part = split_and_part(judged)
        interval = estimate.interval()
        return Row(
            n=place.n,
            subset=place.subset,
            seed=place.seed,
            method=entrant.method,
            kind=entrant.kind,
            split=split,
            part=part,
            metric=metric,
            value=interval.value,
            low=interval.low,
            high=interval.high,
            forwards=entrant.forwards,
            non_finite=non_finite,
            **self._labels,
        )
