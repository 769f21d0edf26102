"""The study of connectivity: paths and planes between the networks of pools, and what lies there.

Shapes: P points, K corners.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any, Literal, TypeVar

import torch
from torch import Tensor, nn

from ...data import Dataset
from ...errors import FieldError
from ...evaluation.predictions.predict import BATCH, Predictions, predict
from ...evaluation.scores.metrics import accuracy, nll
from ...experiments.cells import spec_name
from ...experiments.fit import Fit
from ...networks import has_batch_norm, reestimate_batch_norm
from ...training.additions.rescaling import rescale_to_scope
from ...training.additions.scopes import fuse_scopes, scope_of
from ...training.jobs.pools import Pool
from ...values.result import Progress
from ..pools import TrainedPools
from . import Connectivity, CurveKind
from .curves import Span, State, along, fit_curve, straight
from .redrawn import Redrawn, of_samples
from .result import ConnectivityResult, Plane, Side, Statistics, WeightPath

Scored = TypeVar("Scored")

EDGE = 0.15
"""How far a plane reaches beyond its corners, as a part of its side, to the nearest step."""


def compute(
    study: Connectivity,
    pools: TrainedPools | Sequence[Pool],
    *,
    progress: Progress | None = None,
) -> ConnectivityResult:
    """The study of connectivity; see `Connectivity`."""
    pools = pools.pools if isinstance(pools, TrainedPools) else pools
    for pool in pools:
        if len(pool.kept) < 2:
            raise FieldError(
                f"pool {pool.seed} has one network: ingredients.count must be at least 2."
            )
    sites = [_Site.of(pool, study) for pool in pools]
    redrawn = Redrawn(
        {(one.pool.cell, one.pool.seed): one.splits["test"].originals for one in sites}
    )
    works = [work for site in sites for work in _works(site, redrawn)]
    total, done = sum(work.cost for work in works), 0.0
    paths, planes = list[WeightPath](), list[Plane]()
    for work in works:
        if progress:
            progress(work.title, done / total)
        for found in work.run():
            if isinstance(found, WeightPath):
                paths.append(found)
            else:
                planes.append(found)
        done += work.cost
    if progress:
        progress("done", 1.0)
    return ConnectivityResult(
        title=f"What lies between networks: {_kinds(pools)}",
        paths=tuple(paths),
        planes=tuple(planes),
        facts=tuple(_facts(pools, study, paths)),
        shared=tuple(redrawn.rows()),
    )


def how_of(study: Connectivity) -> Fit:
    """How its curves are fitted."""
    return Fit(epochs=study.epochs, lr=study.lr, optimiser="sgd", weight_decay=0.0)


@dataclass(frozen=True, slots=True)
class _Work:
    """One path or plane, before it is computed."""

    title: str
    cost: float
    run: Callable[[], Iterator[WeightPath] | Iterator[Plane]]


def _works(site: "_Site", redrawn: Redrawn) -> Iterator[_Work]:
    study = site.study
    names = [one.name for one in site.pool.kept]
    for place, (i, j) in enumerate(_pairs(len(names), study.pairs)):
        title = f"{site.title}{names[i]} to {names[j]}"
        yield _Work(title, study.points, lambda i=i, j=j: _line(site, redrawn, i, j))
        for kind in study.curves if place == 0 else ():
            cost = 10.0 * study.points
            yield _Work(
                f"{title}, {kind}",
                cost,
                lambda i=i, j=j, kind=kind: _curve(site, redrawn, i, j, kind),
            )
    if study.plane and len(names) > 2:
        yield _Work(f"{site.title}plane", study.plane**2, lambda: _plane(site))


def _pairs(count: int, wanted: Literal["all", "first"] | int) -> list[tuple[int, int]]:
    if wanted == "first":
        return [(0, j) for j in range(1, count)]
    every = list(combinations(range(count), 2))
    return every[:wanted] if isinstance(wanted, int) else every


@dataclass(frozen=True, slots=True, eq=False)
class _Site:
    """A pool with the samples that are looked at."""

    pool: Pool
    study: Connectivity
    splits: Mapping[Side, Dataset]

    @classmethod
    def of(cls, pool: Pool, study: Connectivity) -> "_Site":
        splits: dict[Side, Dataset] = {
            "train": some_of(pool.splits.train, study.samples),
            "test": some_of(pool.splits.test, study.samples),
        }
        return cls(pool, study, splits)

    @property
    def title(self) -> str:
        """For progress."""
        return f"{self.pool.cell} pool {self.pool.seed}: ".lstrip()

    def states(self, *indices: int) -> list[State]:
        """State dicts of members, rescaled where that is asked for."""
        networks = [self.pool.kept[index].network for index in indices]
        if self.study.rescale == "none":
            return [one.state_dict() for one in networks]
        target = fuse_scopes([scope_of(one) for one in networks])
        keep = "nothing" if self.study.rescale == "weights" else "function"
        return [rescale_to_scope(one, target, keep=keep).state for one in networks]

    def scores(
        self, span: Span, points: Sequence[Sequence[float]], score: Callable[[Predictions], Scored]
    ) -> Iterator[tuple[Statistics, Side, list[Scored]]]:
        """The score at each point, by kind of statistics and by split."""
        for side, data in self.splits.items():
            yield "interpolated", side, [score(one) for one in span.run(points, data)]
        if has_batch_norm(span.shell):
            found: dict[Side, list[Scored]] = {side: [] for side in self.splits}
            for point in points:
                network = span.at(point)
                reestimate_batch_norm(network, batches(self.splits["train"]))
                for side, data in self.splits.items():
                    found[side].append(score(predict(network, data)))
            for side, scores in found.items():
                yield "re-estimated", side, scores


def some_of(data: Dataset, most: int) -> Dataset:
    """At most so many samples, the same ones each time."""
    if len(data) <= most:
        return data
    drawn = torch.randperm(len(data), generator=torch.Generator().manual_seed(0))
    return data.take(drawn[:most].sort().values)


def batches(data: Dataset) -> Iterator[Tensor]:
    """Inputs of a split; without a last batch of a single sample, which has no variance."""
    for start in range(0, len(data), BATCH):
        if start == 0 or len(data) - start > 1:
            yield data.batch(slice(start, start + BATCH))


def score(predictions: Predictions) -> tuple[float, float]:
    """Loss and accuracy."""
    return nll(predictions), accuracy(predictions)


def _line(site: _Site, redrawn: Redrawn, i: int, j: int) -> Iterator[WeightPath]:
    span = Span.of(site.pool.build(), site.states(i, j))
    yield from _paths(site, redrawn, i, j, "line", span, straight(site.study.points))


def _curve(site: _Site, redrawn: Redrawn, i: int, j: int, kind: CurveKind) -> Iterator[WeightPath]:
    network = site.pool.build()
    states = site.states(i, j)
    train = site.pool.splits.train
    bends = site.study.bends
    fitted = fit_curve(
        *(network, states[0], states[1], train), kind=kind, bends=bends, how=how_of(site.study)
    )
    places = along(kind, len(fitted), site.study.points)
    yield from _paths(site, redrawn, i, j, kind, Span.of(network, fitted), places)


def _paths(
    site: _Site,
    redrawn: Redrawn,
    i: int,
    j: int,
    way: Any,
    span: Span,
    places: Sequence[tuple[float, tuple[float, ...]]],
) -> Iterator[WeightPath]:
    points = [weights for _, weights in places]
    for statistics, side, seen in site.scores(span, points, of_samples):
        scores = [one.score for one in seen]
        path = WeightPath(
            cell=site.pool.cell,
            pool=site.pool.seed,
            one=site.pool.kept[i].name,
            other=site.pool.kept[j].name,
            way=way,
            statistics=statistics,
            split=side,
            at=tuple(t for t, _ in places),
            loss=tuple(loss for loss, _ in scores),
            accuracy=tuple(right for _, right in scores),
        )
        if side == "test":
            redrawn.add(path, seen)
        yield path


def _plane(site: _Site) -> Iterator[Plane]:
    span = Span.of(site.pool.build(), site.states(0, 1, 2))
    places = side_of(site.study.plane)
    points = [(1 - u - v, u, v) for v in places for u in places]
    for statistics, side, scores in site.scores(span, points, score):
        rows = [scores[k : k + len(places)] for k in range(0, len(scores), len(places))]
        yield Plane(
            cell=site.pool.cell,
            pool=site.pool.seed,
            models=(site.pool.kept[0].name, site.pool.kept[1].name, site.pool.kept[2].name),
            statistics=statistics,
            split=side,
            places=places,
            corners=corners_of(span.states, span.shell),
            loss=tuple(tuple(loss for loss, _ in row) for row in rows),
            accuracy=tuple(tuple(right for _, right in row) for row in rows),
        )


def side_of(count: int) -> tuple[float, ...]:
    """Even places that hold 0 and 1 and reach a little beyond both.

    Example:
        >>> side_of(5)
        (-0.5, 0.0, 0.5, 1.0, 1.5)
    """
    beyond = max(1, round(EDGE * (count - 1)))
    step = count - 1 - 2 * beyond
    return tuple((k - beyond) / step for k in range(count))


def corners_of(
    states: Sequence[State], network: nn.Module
) -> tuple[tuple[float, float], tuple[float, float], tuple[float, float]]:
    """Three networks as points of their plane: the first at 0, the second to the right of it."""
    names = [name for name, _ in network.named_parameters()]

    def inner(one: int, other: int) -> float:
        return math.fsum(
            float(
                ((states[one][n] - states[0][n]).double() * (states[other][n] - states[0][n])).sum()
            )
            for n in names
        )

    length = math.sqrt(inner(1, 1))
    across = inner(1, 2) / length if length else 0.0
    return (0.0, 0.0), (length, 0.0), (across, math.sqrt(max(inner(2, 2) - across**2, 0.0)))


def _kinds(pools: Sequence[Pool]) -> str:
    return ", ".join(dict.fromkeys(spec_name(pool.network_spec) for pool in pools))


def _facts(
    pools: Sequence[Pool], study: Connectivity, paths: Sequence[WeightPath]
) -> Iterator[tuple[str, str]]:
    first = pools[0]
    yield "networks", _kinds(pools)
    yield "data", ", ".join(dict.fromkeys(pool.splits.test.name for pool in pools))
    yield "pools", ", ".join(dict.fromkeys(str(pool.seed) for pool in pools))
    yield "networks of a pool", str(len(first.kept))
    yield "pairs", str(len({(one.one, one.other) for one in paths}))
    sizes = [min(len(one), study.samples) for one in (first.splits.train, first.splits.test)]
    yield "samples", f"{sizes[0]:,} of the training split, {sizes[1]:,} of the test split"
    words = {
        "none": "as they are",
        "weights": "given the scope that fuses both, by scaling weights",
        "function": "given the scope that fuses both where batch norm keeps the function",
    }
    yield "ends", words[study.rescale]
    if study.curves:
        how = how_of(study)
        yield (
            "curves",
            f"{', '.join(study.curves)}, {study.bends} bend(s), {how.epochs} epochs of "
            f"{how.optimiser} at {how.lr:g}, between the first pair of each pool",
        )
