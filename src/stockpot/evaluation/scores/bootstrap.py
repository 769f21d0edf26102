"""Resampling, done once and shared: every method and metric sees the same redrawn test sets.

A resample draws originals with replacement; what it draws is a row of counts, and a metric that is
a sum over samples is then one matrix product for all resamples. Methods share the counts, so the
difference of two methods' draws is their paired bootstrap; pools share them too.

Shapes: R resamples, G originals, N samples, B columns of values, P pools.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ...typed import from_numpy, to_numpy
from ..results.estimator import (
    FEWEST_POOLS,
    SHARE,
    UNBOUNDED,
    Bounds,
    Shared,
    Spread,
    exact_share,
    no_worse_p,
    spread_over_pools,
    student_interval,
    student_p,
    through_samples,
    upper_share,
)
from ..results.intervals import LEVEL, RESAMPLES, Floats, Interval

_BLOCK = 2**20
"""Counts that are drawn at once."""


class Resampler:
    """R redrawn versions of a split, each as how often it holds every original.

    Args:
        originals_N: which samples are views of one original; those come and go together.
        among: the originals of all test sets that are redrawn alike, where pools have different
            ones: what two have in common is drawn alike in both, all else independently.
        resamples: R.
        seed: the same seed and originals give the same resamples.

    Cost: R x G counts of four bytes, and a float32 product of [R, G] with what is asked for; the
        counts and sums of right answers are whole numbers, which float32 holds exactly.
    """

    def __init__(
        self,
        originals_N: Tensor,
        *,
        resamples: int = RESAMPLES,
        seed: int = 0,
        among: Tensor | None = None,
    ) -> None:
        own_G, place_N, views_G = np.unique(
            to_numpy(originals_N), return_inverse=True, return_counts=True
        )
        self._place_N: NDArray[np.intp] = place_N
        self._order_N: NDArray[np.intp] = np.argsort(place_N, kind="stable")
        self._starts_G: NDArray[np.intp] = np.cumsum(views_G) - views_G
        every_U = own_G if among is None else np.unique(to_numpy(among))
        counts_RU = _draw(len(every_U), resamples, np.random.default_rng(seed))
        apart = len(every_U) > len(own_G)
        counts_RG = counts_RU[:, np.searchsorted(every_U, own_G)] if apart else counts_RU
        self.test_set = own_G.tobytes()
        """Which originals: test sets that differ have no rows in common."""
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

    def by_original(self, values_N: Tensor) -> NDArray[np.float32]:
        """The mean value of each original's views, [G]."""
        ordered_N = to_numpy(values_N.double())[self._order_N]
        ends_G = np.append(self._starts_G[1:], len(ordered_N))
        summed_G = np.add.reduceat(ordered_N, self._starts_G)
        return (summed_G / (ends_G - self._starts_G)).astype(np.float32)

    def weights(self, resamples: int) -> Floats:
        """How often each of the first resamples holds each sample, [R, N]."""
        return to_numpy(self._counts_RG[:resamples].double())[:, self._place_N]


def resamplers_of(test_sets: Sequence[Tensor], *, resamples: int = RESAMPLES) -> list[Resampler]:
    """One for the originals of each pool's test set; pools of the same one share it."""
    sets = {to_numpy(one).tobytes(): one for one in test_sets}
    among = torch.cat(list(sets.values())) if len(sets) > 1 else None
    made = {key: Resampler(one, resamples=resamples, among=among) for key, one in sets.items()}
    return [made[to_numpy(one).tobytes()] for one in test_sets]


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


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Estimate:
    """A number of each pool, and what it would have been on each redrawn test set.

    Pools share draws, as they share test samples. So the difference of two methods is taken pool by
    pool and draw by draw, and is paired.

    Attributes:
        values: of each pool, on the samples as they are, float64 [P].
        draws: one per resample, [P, R]; R = 0 where it was not resampled.
        units: how many originals the samples come from.
        bounds: between what it lies.
        rows: where it is the mean over samples of a share: that of each original, float32 [P, G],
            by which it can be bounded exactly; else None.
        test_set: which samples the rows are of; "" where each pool has its own.
        fewest: how many originals bound it where it is at an end of its bounds; 0 if none do.
    """

    values: Floats
    draws: Floats
    units: int
    bounds: Bounds = UNBOUNDED
    rows: NDArray[np.float32] | None = None
    test_set: bytes = b""
    fewest: int = 0

    @property
    def value(self) -> float:
        """The mean over pools."""
        return float(self.values.mean())

    @property
    def pools(self) -> int:
        """P."""
        return len(self.values)

    def minus(self, other: "Estimate") -> "Estimate":
        """The paired difference: both of the same pools on the same resamples."""
        return replace(
            self,
            values=self.values - other.values,
            draws=self.draws - other.draws,
            bounds=self.bounds.minus(other.bounds),
            rows=_both(np.subtract, self, other),
            fewest=min(self.fewest, other.fewest),
        )

    def plus(self, other: "Estimate") -> "Estimate":
        """The sum: both of the same pools on the same resamples."""
        return replace(
            self,
            values=self.values + other.values,
            draws=self.draws + other.draws,
            bounds=self.bounds.plus(other.bounds),
            rows=_both(np.add, self, other),
            fewest=min(self.fewest, other.fewest),
        )

    def over(self, count: int) -> "Estimate":
        """Divided by a number other than 0."""
        rows_PG = self.rows
        return replace(
            self,
            values=self.values / count,
            draws=self.draws / count,
            bounds=self.bounds.over(count),
            rows=None if rows_PG is None else rows_PG / np.float32(count),
        )

    def interval(self) -> Interval:
        """The mean over pools with its 95% interval; NaN bounds where there is none.

        Of three pools and more Student's t (`results.estimator`); of one the percentiles of its
        draws, which cover test samples only; of two none. Where every sample agrees on an end of
        what is possible, draws have nothing to vary, and the interval is Clopper and Pearson's.
        """
        value, none = self.value, Interval(self.value, math.nan, math.nan)
        if self.pools > 1 and self.pools < FEWEST_POOLS:
            return none
        if self._agreed():
            return _of_agreed(value, self.units, self.bounds)
        if self.fewest and self._at_an_end():
            return _of_agreed(value, self.fewest, self.bounds)
        if self.pools >= FEWEST_POOLS:
            return student_interval(value, self._spread(), self.bounds)
        varied = self.draws.size and not bool(np.isnan(self.draws).all())
        if not varied or not self.bounds.inside(value):
            return none
        tail = (1 - LEVEL) / 2
        low, high = np.nanquantile(self.draws[0], (tail, 1 - tail))
        return Interval(value, float(low), float(high))

    def p_above(self, least: float) -> float:
        """p of the claim that it is above `least`, two-sided, by what `interval` goes by.

        NaN for two pools, which show nothing.
        """
        # Differences of equal scores are not exactly 0 where they were summed in another order.
        least += 1e-12
        if self.pools >= FEWEST_POOLS:
            return float(student_p(np.array(self.value), least, self._spread(), self.bounds))
        if self.pools > 1:
            return math.nan
        wrong = int((~(self.draws[0] > least)).sum())
        return min(1.0, 2 * (wrong + 1) / (self.draws.shape[1] + 1))

    def p_of_none(self) -> float:
        """p of a difference that is none, two-sided; NaN for two pools."""
        if self._agreed():
            return 1.0
        return min(self.p_above(0.0), self.over(-1).p_above(0.0))

    def p_no_worse(self, margin: float) -> float:
        """p of the claim that a difference is above -margin.

        Of shares it is exact in the test samples (`results.estimator.no_worse_p`), and no smaller
        than what the pools' spread allows.
        """
        if self.rows is None or not self.bounds.inside(-margin):
            return self.p_above(-margin)
        # Of test sets of their own, samples of pools do not belong together: each pool by itself.
        mean_KG = self.rows.mean(axis=0, dtype=np.float64, keepdims=True)
        mean_KG = mean_KG if self.test_set else self.rows
        gains, losses = (float(one.clip(min=0).sum()) / len(one) for one in (mean_KG, -mean_KG))
        exact, by_pools = no_worse_p(gains, losses, self.units, margin), self.p_above(-margin)
        if math.isnan(by_pools):
            return math.nan
        return exact if self._agreed() else max(exact, by_pools)

    @property
    def is_nothing(self) -> bool:
        """Whether it is a difference without one sample on which it is not 0."""
        return self.rows is not None and not self.rows.any()

    def _agreed(self) -> bool:
        """Whether all samples have one and the same value, at which chance can have no draws."""
        if self.rows is None or not self.rows.size:
            return False
        first, (low, high) = self.rows.flat[0], self.bounds
        ends = (low, high, 0.0) if low < 0 < high else (low, high)
        return first in ends and bool((self.rows == first).all())

    def _at_an_end(self) -> bool:
        return any(bool((self.values == end).all()) for end in self.bounds)

    def shared(self) -> Shared:
        """What the samples add to every pool alike, to be kept where the draws are not."""
        if self.pools < FEWEST_POOLS or bool(np.isnan(self.draws).all()):
            return Shared()
        variance = through_samples(*self._variances(), self.pools)
        return Shared(float(variance), self.units)

    def _variances(self) -> tuple[float, float]:
        """Of the mean over pools, and of one pool in the mean."""
        of_mean = float(np.nanvar(self.draws.mean(axis=0, dtype=np.float64)))
        return of_mean, float(np.nanvar(self.draws, axis=1, dtype=np.float64).mean())

    def _spread(self) -> Spread:
        if not self.draws.size:
            return spread_over_pools(self.values, 0.0, 0.0, 1.0)
        if bool(np.isnan(self.draws).all()):
            return Spread(np.array(math.nan), np.array(1.0))
        return spread_over_pools(self.values, *self._variances(), self.units)


def pool_estimate(
    value: float,
    draws_R: Floats,
    units: int,
    bounds: Bounds = UNBOUNDED,
    rows_G: NDArray[np.float32] | None = None,
    test_set: bytes = b"",
    fewest: int = 0,
) -> Estimate:
    """Of one pool; see `Estimate`."""
    return Estimate(
        values=np.array([value], dtype=np.float64),
        draws=draws_R[None],
        units=units,
        bounds=bounds,
        rows=None if rows_G is None else rows_G[None],
        test_set=test_set,
        fewest=fewest,
    )


def share_estimate(right_N: Tensor, resampler: Resampler) -> Estimate:
    """Of one pool: the mean of what each sample has of a share, such as 1 where it is right."""
    return pool_estimate(
        float(right_N.double().mean()),
        resampler.means(right_N),
        resampler.originals,
        SHARE,
        resampler.by_original(right_N),
        resampler.test_set,
    )


def mean_estimate(estimates: Sequence[Estimate]) -> Estimate:
    """Of several on the same samples: members of a pool, or subsets, which are not independent."""
    total = estimates[0]
    for one in estimates[1:]:
        total = total.plus(one)
    return total.over(len(estimates))


def over_pools(estimates: Sequence[Estimate]) -> Estimate:
    """One method's pools side by side; pools are independent, test samples may be shared.

    Args:
        estimates: one per pool, of the same method and metric, with the same number of draws.
    """
    rows = [one.rows for one in estimates if one.rows is not None]
    sets = {one.test_set for one in estimates}
    # The rows of test sets of different sizes cannot stand side by side.
    alike = len(rows) == len(estimates) and len({one.shape[1] for one in rows}) == 1
    return Estimate(
        values=np.concatenate([one.values for one in estimates]),
        draws=np.concatenate([one.draws for one in estimates]),
        units=max(one.units for one in estimates),
        bounds=estimates[0].bounds,
        rows=np.concatenate(rows) if alike else None,
        test_set=sets.pop() if len(sets) == 1 else b"",
        fewest=min(one.fewest for one in estimates),
    )


def _both(
    step: Callable[[NDArray[np.float32], NDArray[np.float32]], NDArray[np.float32]],
    one: Estimate,
    other: Estimate,
) -> NDArray[np.float32] | None:
    if one.rows is None or other.rows is None:
        return None
    return step(one.rows, other.rows)


def _of_agreed(value: float, units: int, bounds: Bounds) -> Interval:
    """Of a share of all or none; or of a difference of nothing, by the same tail on each side."""
    width = bounds.high - bounds.low
    if bounds.inside(value):
        reach = upper_share(0, units, (1 - LEVEL) / 2) * width / 2
        return Interval(value, value - reach, value + reach)
    share = exact_share((value - bounds.low) / width, units)
    return Interval(value, bounds.low + width * share.low, bounds.low + width * share.high)
