"""How far a score may be off: a value and its 95% confidence interval."""

import math
from dataclasses import astuple, dataclass

import numpy as np
from numpy.typing import NDArray

LEVEL = 0.95
RESAMPLES = 2000

Floats = NDArray[np.float64]

NO_INTERVAL = "no interval"
"""What stands in an interval's place where there is none."""
TOO_FEW = "too few pools for an interval"
"""And where two pools are why."""


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
    the part of the test split, or the view of it, that the samples are from. `p` is of the two
    being alike, after Holm's correction for the differences that it stands among; NaN where it
    stands for itself.
    """

    a: str
    b: str
    interval: Interval
    n: int = 0
    part: str = "all"
    p: float = math.nan

    def decided(self) -> bool:
        """Whether p is below 5%; where there is none, whether the interval excludes zero."""
        if not math.isnan(self.p):
            return self.p < 1 - LEVEL
        return self.interval.low > 0 or self.interval.high < 0

    def phrase(self, metric: str = "accuracy") -> str:
        """Where `a` is, said only as far as the interval carries it.

        In percentage points where the metric is a fraction of samples: accuracy, auroc.

        >>> Difference("ties", "single-mean", Interval(0.05, 0.03, 0.07)).phrase()
        '5.0 points [3.0, 7.0] above single-mean'
        >>> Difference("ties", "single-mean", Interval(0.01, -0.01, 0.03)).phrase()
        'not to be told from single-mean (+1.0 points [-1.0, 3.0])'
        """
        value, low, high = astuple(self.interval)
        if metric not in ("accuracy", "auroc"):
            ends = NO_INTERVAL if math.isnan(low) else f"{low:.4g}, {high:.4g}"
            return f"{value:+.4g} [{ends}] from {self.b}"
        ends = NO_INTERVAL if math.isnan(low) else f"{100 * low:.1f}, {100 * high:.1f}"
        if not self.decided():
            return f"not to be told from {self.b} ({100 * value:+.1f} points [{ends}])"
        if value > 0:
            return f"{100 * value:.1f} points [{ends}] above {self.b}"
        return f"{-100 * value:.1f} points [{-100 * high:.1f}, {-100 * low:.1f}] below {self.b}"
