"""How sure a mean over pools is: their spread, what their shared test set adds, Student's t.

P pools are judged on the same test samples. Their mean varies because pools do, and because the
samples do; what the samples do to every pool alike does not average out over pools:

    variance = s² / P + shared
    shared   = max(0, (P V(mean over pools) - mean of V(each pool)) / (P - 1))

s² is the variance of the P values, V(.) the variance over redrawn test sets, and `shared` so the
covariance of two pools through the samples. The interval is Student's t on Satterthwaite's degrees
of freedom. It is taken where the quantity has no bounds: on the logit between two bounds (Fisher's
z between -1 and 1), on the logarithm above one; so it never leaves them.

Shapes: P pools, any leading shape S of repetitions.

Sources: F. E. Satterthwaite, An approximate distribution of estimates of variance components, 1946;
C. J. Clopper and E. S. Pearson, The use of confidence or fiducial limits, 1934.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ...libraries import optional
from .intervals import LEVEL, Floats, Interval

FEWEST_POOLS = 3
"""Two pools give a variance of one degree of freedom: its interval would say nothing."""


class Bounds(NamedTuple):
    """Between what a quantity lies, whatever is measured."""

    low: float = -math.inf
    high: float = math.inf

    def minus(self, other: "Bounds") -> "Bounds":
        """Of a difference."""
        return Bounds(self.low - other.high, self.high - other.low)

    def plus(self, other: "Bounds") -> "Bounds":
        """Of a sum."""
        return Bounds(self.low + other.low, self.high + other.high)

    def over(self, count: float) -> "Bounds":
        """Divided by a number other than 0."""
        low, high = sorted((self.low / count, self.high / count))
        return Bounds(low, high)

    def inside(self, value: float) -> bool:
        """Whether a value is neither of the bounds nor beyond them."""
        return self.low < value < self.high


UNBOUNDED = Bounds()
SHARE = Bounds(0.0, 1.0)
CORRELATION = Bounds(-1.0, 1.0)
POSITIVE = Bounds(0.0)


class Spread(NamedTuple):
    """Of a mean over pools.

    Attributes:
        variance: of the mean, float64 [S].
        freedom: degrees of freedom of that variance, [S].
    """

    variance: Floats
    freedom: Floats


class Shared(NamedTuple):
    """What the test samples do to all pools alike: kept of a number whose draws are not.

    Attributes:
        variance: the covariance of two pools through their samples.
        units: distinct test samples.
    """

    variance: float = 0.0
    units: int = 1


ALONE = Shared()
"""Of a number that has no test samples, or whose samples were not redrawn."""


def spread_over_pools(
    values_SP: Floats, of_mean_S: Floats | float, of_each_S: Floats | float, units: float
) -> Spread:
    """The variance of a mean over three or more pools that share a test set.

    Args:
        values_SP: of each pool.
        of_mean_S: variance of the mean over pools, over redrawn test sets; 0 where none are.
        of_each_S: the mean over pools of the variance of each.
        units: distinct test samples; their part of the variance has one degree of freedom less.
    """
    shared_S = through_samples(of_mean_S, of_each_S, values_SP.shape[-1])
    return _spread(values_SP, shared_S, units)


def through_samples(of_mean_S: Floats | float, of_each_S: Floats | float, pools: int) -> Floats:
    """The covariance of two pools: (P V(mean over pools) - mean of V(each)) / (P - 1), from 0."""
    return np.maximum(0.0, (pools * np.asarray(of_mean_S) - of_each_S) / (pools - 1))


def _spread(values_SP: Floats, shared_S: Floats, units: float) -> Spread:
    pools = values_SP.shape[-1]
    between_S = values_SP.var(axis=-1, ddof=1) / pools
    variance_S = between_S + shared_S
    loss_S = between_S**2 / (pools - 1) + shared_S**2 / max(1.0, units - 1)
    freedom_S = np.full_like(variance_S, pools - 1.0)
    np.divide(variance_S**2, loss_S, out=freedom_S, where=loss_S > 0)
    return Spread(variance_S, freedom_S)


def student_bounds(
    value_S: Floats, spread: Spread, bounds: Bounds = UNBOUNDED, level: float = LEVEL
) -> tuple[Floats, Floats]:
    """The interval's two ends, [S] each: t on the scale on which the quantity has no bounds.

    The standard error there is the one here times the slope of the transform (delta method). NaN
    where there is no spread, which says that too little was seen, and for a value at a bound.
    """
    reach_S = optional("scipy.special").stdtrit(spread.freedom, (1 + level) / 2)
    with np.errstate(all="ignore"):
        free_S, slope_S = _freed(value_S, bounds)
        half_S = reach_S * np.sqrt(spread.variance) * slope_S
        low_S, high_S = _bound(free_S - half_S, bounds), _bound(free_S + half_S, bounds)
    # On the logarithm a standard error of many times the value has ends beyond float64.
    known_S = _is_known(value_S, spread, bounds)
    return np.where(known_S, low_S, np.nan), np.where(known_S, high_S, np.nan)


def student_p(
    value_S: Floats, least: float, spread: Spread, bounds: Bounds = UNBOUNDED
) -> NDArray[np.float64]:
    """p of the claim that the quantity is above `least`, [S]: twice the one-sided, at most 1.

    It is below 1 - LEVEL exactly where `student_bounds` are above `least`. Without any spread
    nothing is shown: 1.
    """
    if not bounds.inside(least):
        return np.where(least <= bounds.low, 0.0, 1.0) * np.ones_like(value_S)
    with np.errstate(all="ignore"):
        free_S, slope_S = _freed(value_S, bounds)
        least_S, _ = _freed(np.asarray(least), bounds)
        t_S = (free_S - least_S) / (np.sqrt(spread.variance) * slope_S)
    p_S = 2 * optional("scipy.special").stdtr(spread.freedom, -t_S)
    known_S = _is_known(value_S, spread, bounds)
    return np.where(known_S, np.minimum(1.0, p_S), 1.0)


def student_interval(value: float, spread: Spread, bounds: Bounds = UNBOUNDED) -> Interval:
    """`student_bounds` of one mean."""
    low, high = student_bounds(np.array(value), spread, bounds)
    return Interval(value, float(low), float(high))


def upper_share(count: float, units: int, tail: float) -> float:
    """Clopper and Pearson's upper bound of a share of which `count` of `units` were seen.

    The share p for which so few or fewer are seen with probability `tail`; with none seen
    1 - tail^(1 / units).

    Example:
        >>> round(upper_share(0, 736, 0.025), 4)
        0.005
    """
    if count >= units:
        return 1.0
    return float(optional("scipy.special").betaincinv(count + 1, units - count, 1 - tail))


def lower_share(count: float, units: int, tail: float) -> float:
    """The lower bound: where so many or more are seen with probability `tail`."""
    if count <= 0:
        return 0.0
    return float(optional("scipy.special").betaincinv(count, units - count + 1, tail))


def exact_share(value: float, units: int) -> Interval:
    """Clopper and Pearson's 95% interval of a share of which all or none of the units were seen."""
    tail = (1 - LEVEL) / 2
    count = value * units
    return Interval(value, lower_share(count, units, tail), upper_share(count, units, tail))


def no_worse_p(gains: float, losses: float, units: int, margin: float) -> float:
    """p of the claim that losses exceed gains by less than `margin`, exact for single samples.

    The smallest p for which the upper bound of the share of losses, less the lower bound of the
    share of gains, each with a tail of p / 2, is below the margin. Zero losses in few samples show
    little: a margin of 0.5 points takes `samples_for(0.005)` = 736.

    Args:
        gains, losses: how many of the units were won and lost.
        units: distinct test samples; never samples times pools.
        margin: of the difference of the shares, above 0.

    Example:
        >>> round(no_worse_p(0, 0, 30, 0.005), 2), round(no_worse_p(0, 0, 736, 0.005), 3)
        (1.0, 0.05)
    """

    def worst(tail: float) -> float:
        return upper_share(losses, units, tail) - lower_share(gains, units, tail)

    if worst(0.5) >= margin:
        return 1.0
    low, high = 0.0, 0.5
    for _ in range(50):
        middle = (low + high) / 2
        low, high = (low, middle) if worst(middle) < margin else (middle, high)
    return 2 * high


def samples_for(margin: float) -> int:
    """Test samples that show a margin where no sample is lost, with a tail of 2.5%.

    Example:
        >>> samples_for(0.005)
        736
    """
    return math.ceil(math.log((1 - LEVEL) / 2) / math.log1p(-margin))


def holm(p_values: Sequence[float]) -> list[float]:
    """p-values corrected for how many there are: the i-th smallest times (m - i + 1), ascending.

    What is not a number was not tested: it counts for nothing and stays what it is.

    Example:
        >>> holm([0.01, 0.04, 0.03])
        [0.03, 0.06, 0.06]

    Source: S. Holm, A simple sequentially rejective multiple test procedure, 1979.
    """
    tested = [at for at, p in enumerate(p_values) if not math.isnan(p)]
    corrected, largest = list(p_values), 0.0
    for rank, at in enumerate(sorted(tested, key=p_values.__getitem__)):
        largest = max(largest, min(1.0, (len(tested) - rank) * p_values[at]))
        corrected[at] = largest
    return corrected


def over_seeds(
    values: Sequence[float], bounds: Bounds = UNBOUNDED, shared: Shared = ALONE
) -> Interval:
    """Mean over repetitions with its 95% interval by Student's t; none for fewer than three.

    mean ± t_{0.975, P-1} · s / √P where the quantity has no bounds. It covers the repetitions, and
    the test samples that they share as far as `shared` says what these add (`Estimate.shared`).

    Example:
        >>> found = over_seeds([0.5, 0.7, 0.6])
        >>> [round(one, 3) for one in (found.low, found.value, found.high)]
        [0.352, 0.6, 0.848]
    """
    mean = math.fsum(values) / len(values)
    if len(values) < FEWEST_POOLS:
        return Interval(mean, math.nan, math.nan)
    spread = _spread(np.array(values), np.array(shared.variance), shared.units)
    return student_interval(mean, spread, bounds)


def p_over_seeds(values: Sequence[float], bounds: Bounds = UNBOUNDED) -> float:
    """Two-sided p of their mean being none, by what `over_seeds` goes by; NaN for fewer than three.

    Example:
        >>> round(p_over_seeds([0.1, 0.3, 0.2]), 3)
        0.074
    """
    if len(values) < FEWEST_POOLS:
        return math.nan
    mean = np.array(math.fsum(values) / len(values))
    spread = spread_over_pools(np.array(values), 0.0, 0.0, 1.0)
    other = Bounds(-bounds.high, -bounds.low)
    return float(min(student_p(mean, 0.0, spread, bounds), student_p(-mean, 0.0, spread, other)))


def _is_known(value_S: Floats, spread: Spread, bounds: Bounds) -> NDArray[np.bool_]:
    """Whether there is a spread, beyond rounding, and a scale on which to have it."""
    varied_S = spread.variance > (1e-12 * np.abs(value_S)) ** 2
    return (bounds.low < value_S) & (value_S < bounds.high) & varied_S


def _freed(value_S: Floats, bounds: Bounds) -> tuple[Floats, Floats]:
    """A bounded quantity on a scale without bounds, and the slope of that scale there."""
    low, high = bounds
    if math.isinf(low) and math.isinf(high):
        return value_S, np.ones_like(value_S)
    if math.isinf(high):
        return np.log(value_S - low), 1 / (value_S - low)
    if math.isinf(low):
        return -np.log(high - value_S), 1 / (high - value_S)
    above_S, below_S = value_S - low, high - value_S
    return np.log(above_S / below_S), (high - low) / (above_S * below_S)


def _bound(free_S: Floats, bounds: Bounds) -> Floats:
    """Back to the bounded quantity."""
    low, high = bounds
    if math.isinf(low) and math.isinf(high):
        return free_S
    if math.isinf(high):
        return low + np.exp(free_S)
    if math.isinf(low):
        return high - np.exp(-free_S)
    return low + (high - low) * optional("scipy.special").expit(free_S)
