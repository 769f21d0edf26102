"""Predictions turned into estimates by every metric, and means of those over networks and tasks.

Shapes: R resamples.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from ..predictions.predict import Predictions
from ..predictions.views import JUDGED
from ..results.estimator import POSITIVE, UNBOUNDED
from .bootstrap import Estimate, Resampler, mean_estimate, pool_estimate
from .metrics import Metric


@dataclass(frozen=True, slots=True, eq=False)
class Scores:
    """What one result is worth.

    Attributes:
        estimates: by (split or view, metric).
        non_finite: what fraction of the outputs on each split or view is not finite.
    """

    estimates: Mapping[tuple[str, str], Estimate]
    non_finite: Mapping[str, float]


def score_predictions(
    predictions: Mapping[str, Predictions],
    metrics: Sequence[Metric],
    resamplers: Mapping[str, Resampler],
    own: Mapping[tuple[str, str], float] | None = None,
) -> Scores:
    """Every metric on every split; `own` has the scores of metrics that run a network themselves.

    An ensemble is no network, and has no score by such a metric.
    """
    estimates: dict[tuple[str, str], Estimate] = {}
    for metric in metrics:
        for split, seen in predictions.items():
            key, at = (split, metric.name), resamplers[split]
            if metric.value:
                estimates[key] = metric.estimate(seen, at)
            elif own and key in own:
                drawn_R = metric.draws(seen, at)
                estimates[key] = pool_estimate(own[key], drawn_R, at.originals, metric.bounds)
    shares = {split: seen.non_finite / len(seen.logits) for split, seen in predictions.items()}
    return Scores(estimates, shares)


def mean_over_networks(each: Sequence[Scores]) -> Scores:
    """Of networks on the same samples: what one of them drawn at random is worth."""
    return Scores(
        {key: mean_estimate([one.estimates[key] for one in each]) for key in each[0].estimates},
        {split: _mean(one.non_finite[split] for one in each) for split in each[0].non_finite},
    )


def mean_over_tasks(each: Sequence[Scores]) -> Scores:
    """Of what all tasks have; each task counts the same, and samples of all are redrawn."""
    keys = [key for key in each[0].estimates if all(key in one.estimates for one in each)]
    return Scores(
        {key: _over_tasks([one.estimates[key] for one in each]) for key in keys},
        {split: _mean(one.non_finite[split] for one in each) for split in JUDGED},
    )


def _over_tasks(estimates: Sequence[Estimate]) -> Estimate:
    # Samples of different tasks do not count alike: the mean has no rows.
    apart = [replace(one, rows=None) for one in estimates]
    return replace(mean_estimate(apart), units=sum(one.units for one in estimates))


def quotient(a: Estimate, b: Estimate) -> Estimate:
    """Paired; NaN where the divisor is 0."""
    with np.errstate(divide="ignore", invalid="ignore"):
        values_P, draws_PR = a.values / b.values, a.draws / b.draws
    return Estimate(
        values=np.where(np.isfinite(values_P), values_P, np.nan),
        draws=np.where(np.isfinite(draws_PR), draws_PR, np.nan),
        units=a.units,
        bounds=POSITIVE if min(a.bounds.low, b.bounds.low) >= 0 else UNBOUNDED,
    )


def _mean(values: Iterable[float]) -> float:
    found = list(values)
    return math.fsum(found) / len(found)
