"""The study of magnitude: a factor on all weights as published, and fair tests beside it."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import fields
from typing import Any, cast

import torch
from torch import Tensor

from ...errors import FieldError, StockpotError
from ...evaluation.contests.models import ingredients_of
from ...evaluation.predictions.ingredients import Ingredients
from ...evaluation.results.estimator import CORRELATION, POSITIVE, SHARE, over_seeds
from ...evaluation.scores.bootstrap import (
    Estimate,
    Resampler,
    over_pools,
    pool_estimate,
    resamplers_of,
)
from ...experiments.cells import slug
from ...networks import Headed
from ...typed import to_numpy
from ...values.result import Progress
from ..pools import TrainedPools
from . import Magnitude
from .carried import run_carried
from .magnifying import Arithmetic, Bowl, Outcome, outcomes
from .moments import Moment, bounds, moments
from .overflow import observed_overflow, predicted_overflow
from .perturbing import EVERYTHING, PERTURBATIONS, Perturbation, magnified
from .result import (
    ENSEMBLE,
    SOUP,
    BatchPoint,
    Bound,
    MagnitudeResult,
    MomentRow,
    Overflow,
    Point,
    Scoring,
)
from .walking import Plan

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
    test_sets = [bowl.pool.splits.test.originals for bowl in bowls]
    for at, resampler in enumerate(resamplers_of(test_sets, resamples=RESAMPLES)):
        bowl = bowls[at]
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


def _bounds(bowls: Sequence[Bowl]) -> Iterator[Bound]:
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
            for one in fields(Bound)
            if one.name not in ("of", "layer")
        }
        yield Bound(of=same[0].of, layer=same[0].layer, **numbers)


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


Key = tuple[str, Arithmetic, int, float, str, Scoring]
GAPS = (f"{SOUP} - {ENSEMBLE}", f"greedy-soup - {ENSEMBLE}", f"{SOUP} - single-mean")


def note(
    found: dict[Key, list[Estimate]],
    lost: dict[Key, list[float]],
    resampler: Resampler,
    job: tuple[str, Arithmetic, float],
    said: Mapping[tuple[int, str], Outcome],
) -> None:
    """Estimates of all columns at one size, from one product with the resamples."""
    name, arithmetic, size = job
    scorings: tuple[Scoring, ...] = (
        ("wrong", "published") if arithmetic == "float32" else ("wrong",)
    )
    keys: list[Key] = []
    columns: list[Tensor] = []
    shares: list[float] = []
    for (n, method), one in said.items():
        for scoring in scorings:
            keys.append((name, arithmetic, n, size, method, scoring))
            columns.append(_scored(one, scoring))
            shares.append(1 - float(one.finite.double().mean()))
    for n in dict.fromkeys(n for n, _ in said):
        for gap in GAPS:
            one, other = (said[n, method] for method in gap.split(" - "))
            for scoring in scorings:
                keys.append((name, arithmetic, n, size, gap, scoring))
                columns.append(_scored(one, scoring) - _scored(other, scoring))
                shares.append(1 - float((one.finite.bool() & other.finite.bool()).double().mean()))
    values_NB = torch.stack(columns, dim=1)
    draws_RB = resampler.sums(to_numpy(values_NB)) / resampler.sizes_R[:, None]
    for at, key in enumerate(keys):
        value = float(values_NB[:, at].mean())
        draws_R = draws_RB[:, at].astype("float32")
        within = SHARE.minus(SHARE) if " - " in key[4] else SHARE
        rows_G = resampler.by_original(values_NB[:, at])
        estimate = pool_estimate(
            value, draws_R, resampler.originals, within, rows_G, resampler.test_set
        )
        found.setdefault(key, []).append(estimate)
        lost.setdefault(key, []).append(shares[at])


def _scored(one: Outcome, scoring: Scoring) -> Tensor:
    return one.published if scoring == "published" else one.correct


def point(key: Key, estimates: Sequence[Estimate], lost: Sequence[float]) -> Point:
    """A row of the table: mean over pools, its interval, and the share that is not finite."""
    name, arithmetic, n, size, method, scoring = key
    span = over_pools(estimates).interval()
    return Point(
        perturbation=name,
        arithmetic=arithmetic,
        n=n,
        size=size,
        method=method,
        scoring=scoring,
        accuracy=span.value,
        low=span.low,
        high=span.high,
        non_finite=max(0.0, math.fsum(lost) / len(lost)),
    )


FACTORS = 12
LOOKED_AT = 256
"""Samples that overflow is looked for on."""


def overflows_of(bowl: Bowl) -> Iterator[Overflow]:
    """Of the first ingredient, of the soup of all, and of the ensemble."""
    n, seed = bowl.counts[-1], bowl.pool.seed
    predict = _predictor(bowl)
    members = [predict(one) for one in bowl.subjects[:n]]
    whole = bowl.subjects[0].on(bowl.soups[tuple(range(n))])
    observed = _observer(bowl)
    first = bowl.subjects[0]
    yield Overflow(pool=seed, of="single", predicted=members[0], observed=observed(first))
    yield Overflow(pool=seed, of="soup", predicted=predict(whole), observed=observed(whole))
    yield Overflow(pool=seed, of="ensemble", predicted=min(members), observed=math.nan)


def _predictor(bowl: Bowl) -> Callable[[Headed], float]:
    inputs = bowl.pool.splits.train.batch(slice(0, LOOKED_AT))
    if bowl.plan is None:
        return lambda _subject: math.nan
    plan = Plan[float](bowl.subjects[0].network, bowl.subjects[0].name)
    return lambda subject: predicted_overflow(plan, subject.network, inputs)


def _observer(bowl: Bowl, share: float = 0.5) -> Callable[[Headed], float]:
    """Looks on the selection split; only where exponents can be carried is there a reference."""
    selection = bowl.pool.splits.selection
    some = selection.take(torch.arange(min(len(selection), LOOKED_AT)))
    plan = bowl.plan
    if plan is None or some.is_multilabel:
        return lambda _subject: math.nan

    def exact(wide: Headed) -> Tensor:
        return run_carried(plan, wide, some).logits.values.argmax(dim=1)

    return lambda subject: observed_overflow(
        subject, some, lambda one, factor: magnified(one.network, factor), exact, share
    )


def grid_of(bowl: Bowl) -> tuple[float, ...]:
    """Twelve factors: 1, two on the way, seven across the overflow, two beyond.

    It begins where the first ingredient loses 2% of its outputs and ends where the soup has lost
    98%; without a reference arithmetic it is the powers of 10 to 10^11.
    """
    first = _observer(bowl, 0.02)(bowl.subjects[0])
    whole = bowl.subjects[0].on(bowl.soups[tuple(range(bowl.counts[-1]))])
    last = _observer(bowl, 0.98)(whole)
    last = _observer(bowl, 0.5)(whole) if not math.isfinite(last) else last
    if not (math.isfinite(first) and math.isfinite(last)):
        return tuple(10.0**power for power in range(FACTORS))
    low, high = 0.92 * first, 1.08 * max(last, first)
    middle = [low * (high / low) ** (step / 6) for step in range(7)]
    ways = [1.0, first ** (1 / 3), first ** (2 / 3), *middle, 1.5 * high, 3 * high]
    return tuple(float(f"{max(one, 1.0):.4g}") for one in ways)
