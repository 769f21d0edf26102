"""The study of magnitude: a factor on all weights as published, and fair tests beside it."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields
from typing import Any, cast

import torch
from torch import Tensor

from ...errors import FieldError, StockpotError
from ...evaluation.contests.models import ingredients_of
from ...evaluation.predictions.ingredients import Ingredients
from ...evaluation.results.estimator import CORRELATION, POSITIVE, SHARE, over_seeds
from ...evaluation.scores.bootstrap import Estimate, Resampler
from ...experiments.cells import slug
from ...values.result import Progress
from ..pools import TrainedPools
from . import Magnitude
from .bounds import Bound, bounds
from .factors import LOOKED_AT, grid_of, overflows_of
from .magnifying import Arithmetic, Bowl, Outcome, outcomes
from .moments import Moment, moments
from .perturbing import EVERYTHING, PERTURBATIONS, Perturbation
from .result import (
    ENSEMBLE,
    SOUP,
    BatchPoint,
    BoundRow,
    MagnitudeResult,
    MomentRow,
)
from .tallying import Key, note, point

RESAMPLES = 1000
_WITHIN = {
    "maximum": POSITIVE,
    "variance": POSITIVE,
    "covariance": CORRELATION,
    "delta_covariance": CORRELATION,
}
"""Between what a moment lies where it is no share of one of these."""
BATCH = 64
"""Samples of a point in the figure of batches, as published."""


def compute(
    study: Magnitude, trained: TrainedPools, *, progress: Progress | None = None
) -> MagnitudeResult:
    """The study of magnitude; see `Magnitude`."""
    wanted = tuple(one for one in PERTURBATIONS if not study.perturb or one.name in study.perturb)
    own = counts_of(trained, study.counts)
    bowls = [_bowl(trained, number, own) for number in range(len(trained.pools))]
    overflows = [one for bowl in bowls for one in overflows_of(bowl)]
    grid = tuple(sorted({1.0, *study.factors})) if study.factors else grid_of(bowls[0])
    found: dict[Key, list[Estimate]] = {}
    lost: dict[Key, list[float]] = {}
    batches: list[BatchPoint] = []
    jobs = list(_jobs(wanted, grid, bowls[0].plan is not None))
    for at, bowl in enumerate(bowls):
        resampler = Resampler(bowl.pool.splits.test.originals, resamples=RESAMPLES)
        for number, (how, arithmetic, size) in enumerate(jobs):
            if progress:
                part = (at + number / len(jobs)) / len(bowls)
                progress(f"{how.name}, {arithmetic}, pool {bowl.pool.seed}", part)
            said = {(n, name): one for n, name, one in outcomes(bowl, how, size, arithmetic)}
            note(found, lost, resampler, (how.name, arithmetic, size), said)
            if (how.name, arithmetic) == (EVERYTHING.name, "float32"):
                batches += _batches(bowl, size, said)
    points = [point(key, found[key], lost[key]) for key in found]
    return MagnitudeResult(
        title="A factor on all weights: merges against ensembles",
        pools=tuple(bowl.pool.seed for bowl in bowls),
        counts=own,
        perturbations=tuple((one.name, one.words) for one in wanted),
        axes=tuple((one.name, one.size) for one in wanted),
        points=tuple(p for p in points if " - " not in p.method),
        gaps=tuple(p for p in points if " - " in p.method),
        batches=tuple(batches),
        overflows=tuple(overflows),
        moments=tuple(_moments(bowls)),
        bounds=tuple(_bounds(bowls)),
        facts=_facts(trained, bowls, own),
    )


def counts_of(trained: TrainedPools, counts: Sequence[int]) -> tuple[int, ...]:
    """Numbers of ingredients: those wanted, or the experiment's own, or 2 to all.

    Raises:
        FieldError: a sweep of several networks; fewer than two ingredients; a wrong number.
    """
    cells = {pool.cell for pool in trained.pools}
    if len(cells) > 1:
        raise FieldError(
            f"this study is of one network and data set; the experiment's sweep has {len(cells)}."
        )
    most = min(len(pool.kept) for pool in trained.pools)
    if most < 2:
        raise FieldError("a merge needs two ingredients; the experiment has one.")
    own = tuple(
        sorted({*(counts or trained.experiment.compare.counts or range(2, most + 1))} - {1})
    )
    if wrong := [n for n in own if not 2 <= n <= most]:
        raise FieldError(f"counts must be between 2 and {most}, the ingredients; got {wrong[0]}.")
    return own


def ingredients_in_memory(
    trained: TrainedPools, number: int, counts: tuple[int, ...]
) -> Ingredients:
    """The first ingredients of one pool, as many as the largest count."""
    pool, most = trained.pools[number], counts[-1]
    of_files = ingredients_of(
        pool.seed,
        [one.name for one in pool.kept[:most]],
        [one.path for one in pool.kept[:most]],
        pool.splits,
        pool.build,
        base=pool.base,
    )
    return of_files.held(range(most))


def _bowl(trained: TrainedPools, number: int, counts: tuple[int, ...]) -> Bowl:
    pool = ingredients_in_memory(trained, number, counts)
    return Bowl(pool=pool, counts=counts, seed=pool.seed)


def _jobs(
    wanted: Sequence[Perturbation], grid: tuple[float, ...], carries: bool
) -> Iterator[tuple[Perturbation, Arithmetic, float]]:
    """The published experiment in all arithmetics; what may overflow in two; what cannot in one."""
    for how in wanted:
        arithmetics: tuple[Arithmetic, ...] = ("float32",) if how.grid else ("float32", "float64")
        if how is EVERYTHING and carries:
            arithmetics = ("float32", "float64", "carried")
        for arithmetic in arithmetics:
            for size in how.grid or grid:
                yield how, arithmetic, size


def _batches(
    bowl: Bowl, size: float, said: Mapping[tuple[int, str], Outcome]
) -> Iterator[BatchPoint]:
    n = bowl.counts[-1]
    soups, ensembles = (_split(said[n, name].published) for name in (SOUP, ENSEMBLE))
    for number, (one, other) in enumerate(zip(soups, ensembles, strict=True)):
        if len(one) == BATCH or not number:
            yield BatchPoint(
                pool=bowl.pool.seed,
                size=size,
                batch=number,
                soup=float(one.mean()),
                ensemble=float(other.mean()),
            )


def _split(right_N: Tensor) -> tuple[Tensor, ...]:
    return cast(tuple[Tensor, ...], cast(Any, right_N).split(BATCH))


def _moments(bowls: Sequence[Bowl]) -> Iterator[MomentRow]:
    each: list[dict[str, Moment]] = []
    for bowl in bowls:
        networks = [one.network for one in bowl.subjects]
        base = bowl.pool.base
        found = moments(networks, base if isinstance(base, torch.nn.Module) else None)
        each.append({one.tensor: one for one in found})
    for tensor in each[0]:
        for quantity in [one.name for one in fields(Moment) if one.name != "tensor"]:
            values = [float(getattr(one[tensor], quantity)) for one in each]
            span = over_seeds(values, _WITHIN.get(quantity, SHARE))
            yield MomentRow(
                tensor=tensor, quantity=quantity, value=span.value, low=span.low, high=span.high
            )


def _bounds(bowls: Sequence[Bowl]) -> Iterator[BoundRow]:
    each: list[list[Bound]] = []
    for bowl in bowls:
        inputs = bowl.pool.splits.test.batch(slice(0, LOOKED_AT))
        whole = bowl.soups[tuple(range(bowl.counts[-1]))]
        try:
            singles = bounds(bowl.subjects[0].network, inputs, "single")
            each.append([*singles, *bounds(whole, inputs, "soup")])
        except StockpotError:
            return
    for same in zip(*each, strict=True):
        numbers = {
            one.name: math.exp(
                math.fsum(math.log(max(getattr(b, one.name), 1e-300)) for b in same) / len(same)
            )
            for one in fields(BoundRow)
            if one.name not in ("of", "layer")
        }
        yield BoundRow(of=same[0].of, layer=same[0].layer, **numbers)


def _facts(
    trained: TrainedPools, bowls: Sequence[Bowl], counts: tuple[int, ...]
) -> tuple[tuple[str, str], ...]:
    first = bowls[0]
    splits = first.pool.splits
    carried = "yes" if first.plan else "no: the network has parts that no factor passes through"
    chosen = "; ".join(
        f"{n}: {', '.join(f'{len(bowl.greedy[n])}' for bowl in bowls)}" for n in counts
    )
    return (
        ("run", str(trained.run)),
        ("network", slug(trained.pools[0].network_spec)),
        ("data", slug(trained.pools[0].data or "none")),
        ("samples", f"{len(splits.selection):,} of selection, {len(splits.test):,} of test"),
        ("pools", f"{len(bowls)}, of {counts[-1]} ingredients"),
        ("members of greedy soups", chosen),
        ("exponents carried", carried),
        ("resamples", f"{RESAMPLES:,}"),
    )
