"""Scores of several tasks put together: quotients, means, and resamples that belong together.

Shapes: R resamples.
"""

import math
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from ...typed import to_numpy
from ..predictions.views import JUDGED, split_of
from ..results.intervals import Difference
from ..scores.bootstrap import Estimate, Resampler
from ..scores.metrics import Metric
from .bodies import Task
from .scoring import Scored


def resamplers_of(tasks: Sequence[Task]) -> Iterator[tuple[str, Mapping[str, Resampler]]]:
    """For each task's splits; tasks of the same samples share one, others draw by themselves."""
    known: dict[tuple[str, str, bytes], Resampler] = {}
    for task in tasks:
        found: dict[str, Resampler] = {}
        for split in JUDGED:
            data = split_of(task.splits, split)
            key = split, data.name, to_numpy(data.originals).tobytes()
            if key not in known:
                known[key] = Resampler(data.originals, seed=len(known))
            found[split] = known[key]
        yield task.name, found


def mean_of(each: Sequence[Scored]) -> Scored:
    """Over tasks, of what all of them have; each task counts the same."""
    keys = [key for key in each[0].scores if all(key in one.scores for one in each)]
    return Scored(
        {key: _mean_estimate([one.scores[key] for one in each]) for key in keys},
        {split: math.fsum(one.non_finite[split] for one in each) / len(each) for split in JUDGED},
    )


def _mean_estimate(estimates: Sequence[Estimate]) -> Estimate:
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


def difference_phrase(one: Difference, metric: Metric) -> str:
    """A difference in words: points where the metric is a fraction of samples."""
    if metric.name in ("accuracy", "auroc"):
        return one.phrase()
    at = one.interval
    return f"{at.value:+.4g} [{at.low:.4g}, {at.high:.4g}] from {one.b}"
