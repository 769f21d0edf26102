"""The estimator of intervals against truths that are known: coverage, false claims, power.

Shapes: S repetitions, P pools, N test samples.
"""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from stockpot.evaluation.results.estimator import (
    CORRELATION,
    POSITIVE,
    SHARE,
    UNBOUNDED,
    Bounds,
    Spread,
    exact_share,
    no_worse_p,
    over_seeds,
    samples_for,
    spread_over_pools,
    student_bounds,
    student_interval,
    student_p,
)
from stockpot.evaluation.scores.bootstrap import Resampler, over_pools, share_estimate

REPEATS, SAMPLES, TRUTH = 10_000, 200, 0.8
SPREADS = (0.0, 0.003, 0.01, 0.05)
GAP = SHARE.minus(SHARE)


def answers(generator, pools, spread, *, effect=0.0, like=0.6):
    """Which answers are right, bool [S, P, N]: each pool has a chance of its own to be right.

    Pools agree on a share `like` of the samples, which are hard or easy for all of them.
    """
    chance_SP1 = (
        TRUTH + effect + spread * generator.standard_normal((REPEATS, pools, 1), np.float32)
    )
    shape = REPEATS, pools, SAMPLES
    hardness_SPN = generator.random(shape, np.float32)
    shared_S1N = generator.random((REPEATS, 1, SAMPLES), np.float32)
    alike_S1N = generator.random((REPEATS, 1, SAMPLES), np.float32) < like
    return np.where(alike_S1N, shared_S1N, hardness_SPN) < chance_SP1


def estimated(values_SPN):
    """What `Estimate` computes of draws, of the draws' expected variances."""
    values_SP = values_SPN.mean(axis=2, dtype=np.float64)
    samples = values_SPN.shape[2]
    of_each_S = values_SPN.var(axis=2, dtype=np.float32).mean(axis=1, dtype=np.float64) / samples
    of_mean_S = values_SPN.mean(axis=1, dtype=np.float32).var(axis=1, dtype=np.float64) / samples
    return values_SP.mean(axis=1), spread_over_pools(values_SP, of_mean_S, of_each_S, samples)


def test_the_twin_without_draws_is_the_product_with_draws():
    generator = np.random.default_rng(0)
    resampler = Resampler(torch.arange(SAMPLES), resamples=20_000)
    for pools, spread in ((3, 0.05), (5, 0.0), (10, 0.01)):
        right_PN = answers(generator, pools, spread)[0]
        each = [share_estimate(torch.as_tensor(one).double(), resampler) for one in right_PN]
        found = over_pools(each).interval()
        value, around = estimated(right_PN[None])
        low, high = student_bounds(value, around, SHARE)
        assert found.value == pytest.approx(float(value[0]))
        assert found.low == pytest.approx(float(low[0]), abs=0.002)
        assert found.high == pytest.approx(float(high[0]), abs=0.002)


@pytest.mark.parametrize("pools", [3, 5, 10])
def test_intervals_cover_the_truth_and_claims_are_false_as_rarely_as_they_say(pools):
    generator = np.random.default_rng(pools)
    for spread in SPREADS:
        a_SPN = answers(generator, pools, spread)
        value, around = estimated(a_SPN)
        low, high = student_bounds(value, around, SHARE)
        assert 0.915 <= ((low <= TRUTH) & (high >= TRUTH)).mean() <= 0.97, spread
        # The other method differs on the samples on which pools differ, and by luck of its own.
        b_SPN = answers(generator, pools, spread)
        value, around = estimated(a_SPN.astype(np.int8) - b_SPN)
        low, high = student_bounds(value, around, GAP)
        assert 0.915 <= ((low <= 0) & (high >= 0)).mean() <= 0.97, spread
        better = student_p(value, 0.0, around, GAP) < 0.05
        assert (better == (low > 0)).all()
        assert better.mean() <= 0.045, spread


def test_what_is_better_is_found():
    generator = np.random.default_rng(1)
    power = {}
    for pools in (3, 10):
        a_SPN = answers(generator, pools, 0.01, effect=0.08)
        b_SPN = answers(generator, pools, 0.01)
        value, around = estimated(a_SPN.astype(np.int8) - b_SPN)
        power[pools] = (student_p(value, 0.0, around, GAP) < 0.05).mean()
    assert power[3] > 0.5
    assert power[10] > power[3]


def test_equivalence_is_never_concluded_from_few_samples_and_rarely_where_it_is_false():
    """Truth at the margin: losses exceed gains by exactly 2 points, on samples of one network."""
    generator, margin = np.random.default_rng(2), 0.02
    for units, gain in ((150, 0.0), (400, 0.0), (400, 0.02), (2000, 0.03)):
        drawn = generator.multinomial(units, [gain, gain + margin, 1 - 2 * gain - margin], REPEATS)
        seen, counts = np.unique(drawn[:, :2], axis=0, return_counts=True)
        wrong = [no_worse_p(won, lost, units, margin) < 0.05 for won, lost in seen]
        assert counts[wrong].sum() / REPEATS <= 0.05
    assert no_worse_p(0, 0, 30, 0.005) == 1
    assert no_worse_p(0, 0, 735, 0.005) > 0.05 > no_worse_p(0, 0, 736, 0.005)
    assert samples_for(0.005) == 736


def test_equivalence_is_found_where_there_are_samples_for_it():
    generator = np.random.default_rng(3)
    drawn = generator.multinomial(5000, [0.01, 0.01, 0.98], REPEATS)
    seen, counts = np.unique(drawn[:, :2], axis=0, return_counts=True)
    right = [no_worse_p(won, lost, 5000, 0.01) < 0.05 for won, lost in seen]
    assert counts[right].sum() / REPEATS > 0.9


@given(
    st.floats(0.01, 0.99),
    st.floats(1e-6, 0.3),
    st.sampled_from([SHARE, CORRELATION, GAP, Bounds(-3, 5), POSITIVE]),
    st.floats(2, 50),
)
def test_an_interval_stays_inside_its_bounds_and_around_its_value(place, error, bounds, freedom):
    high = bounds.high if math.isfinite(bounds.high) else bounds.low + 2
    value = bounds.low + place * (high - bounds.low)
    found = student_interval(value, Spread(np.array(error**2), np.array(freedom)), bounds)
    assert bounds.low <= found.low <= value <= found.high <= bounds.high


@given(st.floats(-1, 1), st.floats(0.01, 2))
def test_without_bounds_it_is_students_t_and_with_far_ones_nearly(value, error):
    around = Spread(np.array(error**2), np.array(4.0))
    found = student_interval(value, around, UNBOUNDED)
    assert found.high - value == pytest.approx(2.776445 * error, rel=1e-5)
    far = student_interval(value, around, Bounds(-1e6, 1e6))
    assert (far.low, far.high) == pytest.approx((found.low, found.high), abs=1e-4)


def test_more_pools_of_one_test_set_do_not_make_samples_of_it():
    same = np.full((1, 50), 0.7)
    noise = 0.02**2
    around = spread_over_pools(same, noise, noise, 400)
    assert float(around.variance[0]) == pytest.approx(noise)
    assert float(around.freedom[0]) == pytest.approx(399)


def test_what_does_not_vary_shows_nothing():
    flat = spread_over_pools(np.full(5, 0.7), 0.0, 0.0, 1.0)
    assert math.isnan(student_interval(0.7, flat, SHARE).low)
    assert float(student_p(np.array(0.7), 0.5, flat, SHARE)) == 1


def test_exact_intervals_by_hand():
    assert exact_share(1.0, 100).low == pytest.approx(0.025 ** (1 / 100))
    assert exact_share(1.0, 100).high == 1
    assert exact_share(0.0, 100).high == pytest.approx(1 - 0.025 ** (1 / 100))


def test_two_repetitions_are_too_few_for_an_interval():
    assert math.isnan(over_seeds([0.5, 0.6]).low)
    assert over_seeds([0.5, 0.7, 0.6]).low == pytest.approx(0.352, abs=1e-3)
    assert over_seeds([0.99, 0.7, 0.9], SHARE).high < 1
