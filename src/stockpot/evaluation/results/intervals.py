"""How far a score may be off: 95% confidence intervals over the samples of a test split.

They say how the score would vary over test sets, with the networks as they are; they say nothing of
how it would vary had the networks been trained with other seeds.

Shapes: N samples, G originals.
"""

import math
from collections.abc import Sequence
from dataclasses import astuple, dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from ...libraries import optional
from ...typed import to_numpy

LEVEL = 0.95
RESAMPLES = 2000

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Interval:
    """A value and its 95% confidence interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Difference:
    """How far method `a` is above method `b` on the same samples, with the paired interval.

    `n` is how many ingredients both were given, or 0 where that is not the question; `part` is
    the part of the test split, or the view of it, that the samples are from.
    """

    a: str
    b: str
    interval: Interval
    n: int = 0
    part: str = "all"

    def decided(self) -> bool:
        """Whether the interval excludes zero."""
        return self.interval.low > 0 or self.interval.high < 0

    def phrase(self, metric: str = "accuracy") -> str:
        """Where `a` is, said only as far as the interval carries it.

        In percentage points where the metric is a fraction of samples: accuracy, auroc.

        >>> Difference("ties", "single-mean", Interval(0.05, 0.03, 0.07)).phrase()
        '5.0 points [3.0, 7.0] above single-mean'
        >>> Difference("ties", "single-mean", Interval(0.01, -0.01, 0.03)).phrase()
        'not to be told from single-mean (+1.0 points [-1.0, 3.0])'
        """
        if metric not in ("accuracy", "auroc"):
            at = self.interval
            return f"{at.value:+.4g} [{at.low:.4g}, {at.high:.4g}] from {self.b}"
        value, low, high = (100 * part for part in astuple(self.interval))
        if not self.decided():
            return f"not to be told from {self.b} ({value:+.1f} points [{low:.1f}, {high:.1f}])"
        if value > 0:
            return f"{value:.1f} points [{low:.1f}, {high:.1f}] above {self.b}"
        return f"{-value:.1f} points [{-high:.1f}, {-low:.1f}] below {self.b}"


def paired_difference(a_N: Tensor, b_N: Tensor, originals_N: Tensor) -> Interval:
    """Interval of the mean of `a_N - b_N`, two methods' scores of the same samples.

    Percentile bootstrap over originals. Pairing leaves out what makes a sample hard for both, so
    that two methods can be told apart whose own intervals overlap.
    """
    return _bootstrap(*_by_original(a_N - b_N, originals_N))


def over_seeds(values: Sequence[float]) -> Interval:
    """Mean over repetitions with its 95% interval by Student's t; no bounds for one value.

    mean ± t_{0.975, S-1} · s / √S

    Example:
        >>> found = over_seeds([0.5, 0.7, 0.6])
        >>> [round(one, 3) for one in (found.low, found.value, found.high)]
        [0.352, 0.6, 0.848]
    """
    count, nan = len(values), float("nan")
    mean = math.fsum(values) / count
    if count < 2:
        return Interval(mean, nan, nan)
    spread = math.sqrt(math.fsum((one - mean) ** 2 for one in values) / (count - 1))
    reach = float(optional("scipy.stats").t.ppf((1 + LEVEL) / 2, count - 1))
    half = reach * spread / math.sqrt(count)
    return Interval(mean, mean - half, mean + half)


def _by_original(values_N: Tensor, originals_N: Tensor) -> tuple[Floats, Floats]:
    """Sum of the values and number of views of each original."""
    _, place_N = np.unique(to_numpy(originals_N), return_inverse=True)
    sums_G = np.bincount(place_N, weights=to_numpy(values_N))
    counts_G = np.bincount(place_N)
    return sums_G.astype(np.float64), counts_G.astype(np.float64)


def _bootstrap(sums_G: Floats, counts_G: Floats) -> Interval:
    drawn = optional("scipy.stats").bootstrap(
        (sums_G, counts_G),
        _ratio,
        paired=True,
        vectorized=True,
        n_resamples=RESAMPLES,
        batch=200,
        confidence_level=LEVEL,
        method="percentile",
        rng=0,
    )
    bounds = drawn.confidence_interval
    return Interval(float(_ratio(sums_G, counts_G, -1)), float(bounds.low), float(bounds.high))


def _ratio(sums: Floats, counts: Floats, axis: int) -> Floats:
    return sums.sum(axis) / counts.sum(axis)
