"""Outcomes as estimates: every column and difference of a pool from one product with resamples."""

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from ...evaluation.results.estimator import SHARE
from ...evaluation.scores.bootstrap import Estimate, Resampler, over_pools, pool_estimate
from ...typed import to_numpy
from .magnifying import Arithmetic, Outcome
from .result import (
    ENSEMBLE,
    SOUP,
    Point,
    Scoring,
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
        bounds = SHARE.minus(SHARE) if " - " in key[4] else SHARE
        rows_G = resampler.by_original(values_NB[:, at])
        one = pool_estimate(value, draws_R, resampler.originals, bounds, rows_G)
        found.setdefault(key, []).append(one)
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
