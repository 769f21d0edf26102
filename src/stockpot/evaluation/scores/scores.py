"""Predictions turned into estimates by every metric, and means of those over networks and tasks.

Shapes: R resamples.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ..predictions.predict import Predictions
from ..predictions.views import JUDGED
from .bootstrap import Estimate, Resampler, mean_estimate
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
                estimates[key] = Estimate(own[key], metric.draws(seen, at), at.originals)
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
    return Estimate(
        math.fsum(one.value for one in estimates) / len(estimates),
        np.mean([one.draws for one in estimates], axis=0),
        sum(one.units for one in estimates),
    )


def quotient(a: Estimate, b: Estimate) -> Estimate:
    """Paired; NaN where the divisor is 0."""
    with np.errstate(divide="ignore", invalid="ignore"):
        value, draws_R = np.divide([a.value], [b.value])[0], a.draws / b.draws
    draws_R = np.where(np.isfinite(draws_R), draws_R, np.nan)
    return Estimate(float(value) if b.value else math.nan, draws_R, a.units)


def _mean(values: Iterable[float]) -> float:
    found = list(values)
    return math.fsum(found) / len(found)
