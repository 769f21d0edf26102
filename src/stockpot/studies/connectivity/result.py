"""What the study of connectivity gives: paths between networks, planes through three, barriers."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import ClassVar, Literal

from ...evaluation.results.estimator import POSITIVE, SHARE, Bounds, Shared, over_seeds
from ...evaluation.results.intervals import Interval
from ...values.result import Overview
from ..samples import SharedRow, shared_of
from ..study import MainTable, StudyResult

Way = Literal["line", "bezier", "polygon"]
Statistics = Literal["interpolated", "re-estimated"]
Side = Literal["train", "test"]
ALL = "all"
"""The pool of a row over all pools, and the pair of one over all pairs."""

_COLUMNS = (
    "pair: which two networks. way: the path between them. statistics: of batch norm, averaged or "
    "estimated again. barrier: the loss on the path above the line between its ends, with its 95% "
    "interval from low to high. drop: accuracy of the ends less that half way."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class WeightPath:
    """Loss and accuracy on the way from one network to another, on one split.

    Attributes:
        cell: of a sweep; '' without one.
        pool: its seed.
        one, other: the networks at a = 0 and a = 1.
        way: the straight line, or a curve that was fitted to the training split.
        statistics: of batch norm: interpolated like weights, or estimated again at every point.
        split: train or test.
        at: places a in [0, 1], evenly, the middle among them.
        loss: mean negative log-likelihood in nats; accuracy: as a fraction.
    """

    cell: str
    pool: int
    one: str
    other: str
    way: Way
    statistics: Statistics
    split: Side
    at: tuple[float, ...]
    loss: tuple[float, ...]
    accuracy: tuple[float, ...]

    @property
    def rises(self) -> tuple[float, ...]:
        """L(a) - ((1 - a) L(0) + a L(1)) at every place."""
        first, last = self.loss[0], self.loss[-1]
        return tuple(
            loss - (first + a * (last - first))  # exactly 0 between equal ends
            for a, loss in zip(self.at, self.loss, strict=True)
        )

    @property
    def barrier(self) -> float:
        """The largest rise: 0 where none is above the ends."""
        return max(self.rises)

    @property
    def drop(self) -> float:
        """Mean accuracy of the ends less that at a = 0.5."""
        middle = self.accuracy[len(self.at) // 2]
        return (self.accuracy[0] + self.accuracy[-1]) / 2 - middle


@dataclass(frozen=True, slots=True, kw_only=True)
class Barrier:
    """One row of the main table: a path, or the mean over pairs and over pools.

    Attributes:
        pool: its seed, or "all": the mean over pools, each the mean over its pairs, with its
            interval by Student's t over pools and, on the test split, the samples they share.
        pair: "one + other", or "all".
        barrier, drop: as `Path` has them; low and high are the interval, NaN where there is none.
        loss, accuracy: mean of the two ends.
        paths: how many paths it is the mean of.
    """

    cell: str
    pool: str
    pair: str
    way: Way
    statistics: Statistics
    split: Side
    barrier: float
    barrier_low: float
    barrier_high: float
    drop: float
    drop_low: float
    drop_high: float
    loss: float
    accuracy: float
    paths: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Plane:
    """Loss and accuracy on the plane A + u (B - A) + v (C - A).

    Attributes:
        models: A, B and C.
        places: the values of u, and of v; 0 and 1 are among them.
        corners: where A, B and C lie in the plane, by the distances of their weights.
        loss, accuracy: a row for each v, in it a value for each u.
    """

    cell: str
    pool: int
    models: tuple[str, str, str]
    statistics: Statistics
    split: Side
    places: tuple[float, ...]
    corners: tuple[tuple[float, float], tuple[float, float], tuple[float, float]]
    loss: tuple[tuple[float, ...], ...]
    accuracy: tuple[tuple[float, ...], ...]

    @property
    def best(self) -> tuple[float, float]:
        """(u, v) of the lowest loss."""
        rows = [(self.loss[j][i], u, v) for j, v in enumerate(self.places)
                for i, u in enumerate(self.places)]  # fmt: skip
        return min(rows)[1:]


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectivityResult(StudyResult):
    """What `connectivity` found.

    Attributes:
        title: the question.
        paths: of every pool, pair, way, kind of statistics and split.
        planes: of the pools that have three networks.
        facts: for a reader.
        shared: of each barrier and drop on the test split; none in files of earlier versions.
    """

    file_kind: ClassVar[str] = "connectivity"
    main_figure: ClassVar[str] = "stockpot.studies.connectivity.figures:plot_barriers"
    main_table: ClassVar[MainTable] = Barrier, "barriers"

    title: str
    paths: tuple[WeightPath, ...]
    planes: tuple[Plane, ...]
    facts: tuple[tuple[str, str], ...]
    shared: tuple[SharedRow, ...] = ()

    @property
    def barriers(self) -> tuple[Barrier, ...]:
        """Over pools and pairs first, then by pair, then path by path."""
        overall = [_row(mine, ALL, self.shared) for mine in grouped(self.paths, pairs=False)]
        by_pair = [
            _row(mine, pair_of(mine[0]), self.shared) for mine in grouped(self.paths, pairs=True)
        ]
        several = len({pair_of(one) for one in self.paths}) > 1
        each = [_single(one) for one in self.paths]
        return (*overall, *(by_pair if several else ()), *each)

    def over_pools(
        self, way: Way = "line", split: Side = "test", pair: str = ALL, cell: str | None = None
    ) -> tuple[Barrier, ...]:
        """Rows over pools of one way, one for each kind of statistics (and cell)."""
        return tuple(
            one
            for one in self.barriers
            if (one.pool, one.way, one.split, one.pair) == (ALL, way, split, pair)
            and cell in (None, one.cell)
        )

    @property
    def sentences(self) -> tuple[str, ...]:
        """What the numbers say."""
        return tuple(_sentences(self))

    def overview(self) -> tuple[Overview, ...]:
        """Of the terminal."""
        rows = tuple(
            (
                *(one.cell or "-", one.pair, one.way, one.statistics, one.split),
                *(one.barrier, one.barrier_low, one.barrier_high),
                *(100 * one.drop, 100 * one.accuracy),
            )
            for one in self.barriers
            if one.pool == ALL
        )
        columns = ("cell", "pair", "way", "statistics", "split", "barrier", "low", "high")
        columns = (*columns, "drop, points", "accuracy of ends, %")
        return (Overview("over pools", columns, rows, _COLUMNS),)

    def derived(self) -> dict[str, object]:
        """The barriers, which follow from the paths."""
        return {"barriers": list(map(asdict, self.barriers))}


def pair_of(path: WeightPath) -> str:
    """Its two ends, in words."""
    return f"{path.one} + {path.other}"


def grouped(paths: Sequence[WeightPath], *, pairs: bool) -> list[list[WeightPath]]:
    """Those that are averaged, in the order of the first of each."""
    groups: dict[tuple[str, ...], list[WeightPath]] = {}
    for one in paths:
        key = (one.cell, one.way, one.statistics, one.split, pair_of(one) if pairs else "")
        groups.setdefault(key, []).append(one)
    return list(groups.values())


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values)


def shared_key(path: WeightPath, pair: str, of: Literal["barrier", "drop"]) -> str:
    """Which number it is in `ConnectivityResult.shared`."""
    return f"{of}, {path.way}, {path.statistics}, {path.split}, {pair}"


def _row(mine: Sequence[WeightPath], pair: str, shared: Sequence[SharedRow]) -> Barrier:
    def added(of: Literal["barrier", "drop"]) -> Shared:
        return shared_of(shared, mine[0].cell, shared_key(mine[0], pair, of))

    pools: dict[int, list[WeightPath]] = {}
    for one in mine:
        pools.setdefault(one.pool, []).append(one)
    rises = [[one.barrier for one in paths] for paths in pools.values()]
    drops = [[one.drop for one in paths] for paths in pools.values()]
    barrier = _interval(rises, POSITIVE, added("barrier"))
    drop = _interval(drops, SHARE.minus(SHARE), added("drop"))
    return _made(mine, ALL, pair, barrier, drop)


def _interval(by_pool: Sequence[Sequence[float]], bounds: Bounds, shared: Shared) -> Interval:
    """A loss that is not finite has no mean, and no interval."""
    values = [_mean(values) for values in by_pool]
    if not all(map(math.isfinite, values)):
        return Interval(max(values), math.nan, math.nan)
    return over_seeds(values, bounds, shared)


def _single(one: WeightPath) -> Barrier:
    nan = math.nan
    alone = Interval(one.barrier, nan, nan), Interval(one.drop, nan, nan)
    return _made([one], str(one.pool), pair_of(one), *alone)


def _made(
    mine: Sequence[WeightPath], pool: str, pair: str, barrier: Interval, drop: Interval
) -> Barrier:
    first = mine[0]
    return Barrier(
        cell=first.cell,
        pool=pool,
        pair=pair,
        way=first.way,
        statistics=first.statistics,
        split=first.split,
        barrier=barrier.value,
        barrier_low=barrier.low,
        barrier_high=barrier.high,
        drop=drop.value,
        drop_low=drop.low,
        drop_high=drop.high,
        loss=_mean([(one.loss[0] + one.loss[-1]) / 2 for one in mine]),
        accuracy=_mean([(one.accuracy[0] + one.accuracy[-1]) / 2 for one in mine]),
        paths=len(mine),
    )


_WORDS: dict[Way, str] = {
    "line": "On the straight line between two networks",
    "bezier": "On the Bezier curve that was fitted to the training split",
    "polygon": "On the polygonal chain that was fitted to the training split",
}


def _sentences(found: ConnectivityResult) -> Iterator[str]:
    pools = len({(one.cell, one.pool) for one in found.paths})
    for way, words in _WORDS.items():
        for row in found.over_pools(way):
            cell = f"{row.cell}: " if row.cell else ""
            how = _HOW[row.statistics] if _has_both(found, way) else ""
            yield (
                f"{cell}{words} the test loss rises by {_said(row, 'barrier', '.3f', 1)} nats"
                f" above the ends{how}, and accuracy in the middle is "
                f"theirs ({100 * row.accuracy:.1f}%) less {_said(row, 'drop', '.1f', 100)} points."
            )
    for plane in found.planes:
        if plane.split == "train" and plane.statistics == found.planes[0].statistics:
            u, v = plane.best
            yield (
                f"In the plane of pool {plane.pool} the lowest training loss is at the weights "
                f"{1 - u - v:.2f}, {u:.2f} and {v:.2f} of {', '.join(plane.models)}."
            )
    if pools == 1:
        yield "One pool says nothing of luck in training: use several seeds for intervals."


_HOW: dict[Statistics, str] = {
    "interpolated": ", statistics of batch norm interpolated",
    "re-estimated": ", statistics of batch norm estimated again",
}


def _has_both(found: ConnectivityResult, way: Way) -> bool:
    return len({one.statistics for one in found.paths if one.way == way}) > 1


def _said(row: Barrier, what: Literal["barrier", "drop"], form: str, factor: float) -> str:
    value, low, high = (
        factor * float(getattr(row, name)) for name in (what, f"{what}_low", f"{what}_high")
    )
    if not math.isfinite(low):
        return f"{value:{form}}"
    return f"{value:{form}} [{low:{form}}, {high:{form}}]"
