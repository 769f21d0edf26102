"""Resampling, done once and shared: every method and metric sees the same redrawn test sets.

A resample draws originals with replacement; what it draws is a row of counts, and a metric that is
a sum over samples is then one matrix product for all resamples. Methods share the counts, so the
difference of two methods' draws is their paired bootstrap. Pools are resampled on top.

Shapes: R resamples, G originals, N samples, B columns of values, P pools.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from ...typed import from_numpy, to_numpy
from ..results.intervals import LEVEL, RESAMPLES, Floats, Interval

_BLOCK = 2**20
"""Counts that are drawn at once."""


class Resampler:
    """R redrawn versions of a split, each as how often it holds every original.

    Args:
        originals_N: which samples are views of one original; those come and go together.
        resamples: R.
        seed: the same seed and originals give the same resamples.

    Cost: R x G counts of four bytes, and a float32 product of [R, G] with what is asked for; the
        counts and sums of right answers are whole numbers, which float32 holds exactly.
    """

    def __init__(self, originals_N: Tensor, *, resamples: int = RESAMPLES, seed: int = 0) -> None:
        _, place_N, views_G = np.unique(
            to_numpy(originals_N), return_inverse=True, return_counts=True
        )
        self._place_N: NDArray[np.intp] = place_N
        self._order_N: NDArray[np.intp] = np.argsort(place_N, kind="stable")
        self._starts_G: NDArray[np.intp] = np.cumsum(views_G) - views_G
        counts_RG = _draw(len(views_G), resamples, np.random.default_rng(seed))
        # A tensor: the threads of NumPy's products cannot be limited, and on a busy machine they
        # wait for each other twenty times longer than one takes.
        self._counts_RG = from_numpy(counts_RG)
        self.sizes_R: Floats = self.sums(np.ones((len(place_N), 1)))[:, 0]
        """Samples in each resample; not always N where originals have several views."""

    @property
    def originals(self) -> int:
        """How many originals there are."""
        return len(self._starts_G)

    def sums(self, values_NB: Floats, resamples: int | None = None) -> Floats:
        """Sum of the values over each of the (first) resamples, [R, B]."""
        summed_GB = np.add.reduceat(values_NB[self._order_N], self._starts_G, axis=0)
        sums_RB = self._counts_RG[:resamples] @ from_numpy(summed_GB.astype(np.float32))
        return to_numpy(sums_RB.double())

    def means(self, values_N: Tensor) -> Floats:
        """Mean of a value over each resample, [R]."""
        return self.sums(to_numpy(values_N.double())[:, None])[:, 0] / self.sizes_R

    def weights(self, resamples: int) -> Floats:
        """How often each of the first resamples holds each sample, [R, N]."""
        return to_numpy(self._counts_RG[:resamples].double())[:, self._place_N]


def _draw(originals: int, resamples: int, generator: np.random.Generator) -> NDArray[np.float32]:
    step = max(1, _BLOCK // originals)
    drawn: list[NDArray[np.float32]] = []
    for first in range(0, resamples, step):
        rows = min(step, resamples - first)
        cells = generator.integers(originals, size=(rows, originals))
        cells += np.arange(rows)[:, None] * originals
        counts = np.bincount(cells.ravel(), minlength=rows * originals)
        drawn.append(counts.astype(np.float32).reshape(rows, originals))
    return np.concatenate(drawn)


@dataclass(frozen=True, slots=True, eq=False)
class Estimate:
    """A number, and what it would have been on each redrawn test set.

    Attributes:
        value: on the samples as they are.
        draws: float64 [R], one per resample; empty where it was not resampled.
        units: how many originals the samples come from.
    """

    value: float
    draws: Floats
    units: int

    def minus(self, other: "Estimate") -> "Estimate":
        """The paired difference: both on the same resamples."""
        return Estimate(self.value - other.value, self.draws - other.draws, self.units)

    def plus(self, other: "Estimate") -> "Estimate":
        """The sum: both on the same resamples."""
        return Estimate(self.value + other.value, self.draws + other.draws, self.units)

    def over(self, count: int) -> "Estimate":
        """Divided by a number."""
        return Estimate(self.value / count, self.draws / count, self.units)

    def interval(self) -> Interval:
        """The value and the percentile interval of its draws; NaN bounds where there are none."""
        if not len(self.draws) or bool(np.isnan(self.draws).all()):
            return Interval(self.value, float("nan"), float("nan"))
        tail = (1 - LEVEL) / 2
        low, high = np.nanquantile(self.draws, (tail, 1 - tail))
        return Interval(self.value, float(low), float(high))


def mean_estimate(estimates: Sequence[Estimate]) -> Estimate:
    """Of several on the same samples: members of a pool, or subsets, which are not independent."""
    return Estimate(
        float(np.mean([one.value for one in estimates])),
        np.mean([one.draws for one in estimates], axis=0),
        estimates[0].units,
    )


def over_pools(estimates: Sequence[Estimate], *, seed: int = 0) -> Estimate:
    """Mean over pools whose uncertainty is that of pools and of test samples together.

    Each draw takes P - 1 of the P pools with replacement, which is what makes the variance of a
    mean over so few units unbiased (P of P would understate it by 1/P), and their values on one
    redrawn test set. With one pool the draws are that pool's, and cover test samples only.

    Args:
        estimates: one per pool, of the same method and metric, with the same number of draws.
        seed: the same seed redraws the same pools, so that methods stay paired.

    Source: J. N. K. Rao and C. F. J. Wu, Resampling inference with complex survey data, 1988.
    """
    if len(estimates) == 1:
        return estimates[0]
    pools, draws_PR = len(estimates), np.stack([one.draws for one in estimates])
    values_P = np.array([one.value for one in estimates])
    if not draws_PR.size:  # not resampled: the pools vary, the samples do not
        draws_PR = values_P[:, None].repeat(RESAMPLES, axis=1)
    generator = np.random.default_rng(seed)
    taken_RP = generator.multinomial(pools - 1, [1 / pools] * pools, size=draws_PR.shape[1])
    draws_R = (taken_RP.T * draws_PR).sum(axis=0) / (pools - 1)
    return Estimate(float(values_P.mean()), draws_R, estimates[0].units)
