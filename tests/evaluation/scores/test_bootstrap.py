import math
from dataclasses import astuple

import numpy as np
import pytest
import torch

from stockpot.evaluation.results.estimator import SHARE
from stockpot.evaluation.scores.bootstrap import (
    Resampler,
    mean_estimate,
    over_pools,
    pool_estimate,
    share_estimate,
)


def test_counts_are_multinomial():
    weights = Resampler(torch.arange(50), resamples=3000).weights(3000)
    assert (weights.sum(axis=1) == 50).all()
    assert weights.mean(axis=0) == pytest.approx(np.ones(50), abs=0.1)
    assert weights.var() == pytest.approx(1 - 1 / 50, abs=0.03)


def test_views_of_one_original_come_and_go_together():
    originals = torch.tensor([7, 3, 7, 3, 9])
    resampler = Resampler(originals, resamples=20)
    weights = resampler.weights(20)
    assert (weights[:, 0] == weights[:, 2]).all()
    assert (weights[:, 1] == weights[:, 3]).all()
    assert resampler.originals == 3
    values = torch.tensor([1.0, 2.0, 3.0, 4.0, 5.0])
    means = (weights * values.numpy()).sum(axis=1) / weights.sum(axis=1)
    assert resampler.means(values) == pytest.approx(means, rel=1e-5)
    assert resampler.sizes_R == pytest.approx(weights.sum(axis=1))


def test_the_same_seed_redraws_the_same_sets_whatever_the_blocks(monkeypatch):
    whole = Resampler(torch.arange(40), resamples=30)
    assert (whole.weights(30) == Resampler(torch.arange(40), resamples=30).weights(30)).all()
    other = Resampler(torch.arange(40), resamples=30, seed=1).weights(30)
    assert (whole.weights(30) != other).any()
    monkeypatch.setattr("stockpot.evaluation.scores.bootstrap._BLOCK", 100)
    values = torch.rand(40, generator=torch.Generator().manual_seed(0))
    assert Resampler(torch.arange(40), resamples=30).means(values) == pytest.approx(
        whole.means(values)
    )


def test_the_interval_is_about_that_of_the_normal_approximation():
    right = (torch.arange(1000) % 5 > 0).double()
    resampler = Resampler(torch.arange(1000))
    interval = share_estimate(right, resampler).interval()
    half = 1.96 * math.sqrt(0.8 * 0.2 / 1000)
    assert interval.low == pytest.approx(0.8 - half, abs=0.004)
    assert interval.high == pytest.approx(0.8 + half, abs=0.004)


def estimates(values, spread=0.0, seed=0):
    noise = np.random.default_rng(seed)
    return [pool_estimate(v, v + spread * noise.standard_normal(2000), 100) for v in values]


def test_pools_make_the_interval_wider_and_one_pool_does_not():
    (one,) = estimates([0.5], spread=0.01)
    assert over_pools([one]).interval() == one.interval()
    several = over_pools(estimates([0.4, 0.5, 0.6], spread=0.01))
    assert several.value == pytest.approx(0.5)
    alone, pooled = one.interval(), several.interval()
    assert pooled.high - pooled.low > 3 * (alone.high - alone.low)


def test_two_pools_have_no_interval_and_show_nothing():
    two = over_pools(estimates([0.4, 0.6], spread=0.01))
    assert two.value == pytest.approx(0.5)
    assert math.isnan(two.interval().low)
    assert math.isnan(two.interval().high)
    assert math.isnan(two.p_above(0.0))
    assert math.isnan(two.p_of_none())


def test_a_difference_is_taken_pool_by_pool():
    """Pools that vary together do not hide what all of them show."""
    a, b = estimates([0.4, 0.5, 0.6], spread=0.001), estimates([0.39, 0.491, 0.59], spread=0.001)
    apart = over_pools(a).minus(over_pools(b))
    together = over_pools([one.minus(other) for one, other in zip(a, b, strict=True)])
    assert astuple(apart.interval()) == pytest.approx(astuple(together.interval()))
    assert apart.interval().low > 0
    assert apart.p_above(0.0) < 0.05 < over_pools(a).minus(over_pools(b)).p_above(0.02)


def test_where_all_answers_are_right_the_interval_is_exact():
    resampler = Resampler(torch.arange(100))
    all_right = share_estimate(torch.ones(100), resampler)
    for perfect in (all_right, over_pools([all_right] * 3)):
        assert perfect.interval().low == pytest.approx(0.025 ** (1 / 100))
        assert perfect.interval().high == 1
    none = all_right.minus(all_right)
    assert none.interval().high == pytest.approx(1 - 0.025 ** (1 / 100))
    assert none.interval().low == -none.interval().high
    assert none.is_nothing
    assert none.p_of_none() == 1


def test_views_of_one_original_count_once():
    right = (torch.arange(300) % 7 > 0).double()
    once = share_estimate(right, Resampler(torch.arange(300)))
    copied = share_estimate(right.repeat(4), Resampler(torch.arange(300).repeat(4)))
    assert astuple(copied.interval()) == pytest.approx(astuple(once.interval()))
    assert copied.units == once.units == 300
    assert (copied.rows == once.rows).all()


def test_copies_of_a_pools_subset_do_not_make_it_surer():
    (one,) = estimates([0.5], spread=0.01)
    many, alone = mean_estimate([one] * 10).interval(), one.interval()
    assert astuple(many) == pytest.approx(astuple(alone))


def test_a_difference_is_paired():
    right = (torch.arange(500) % 3 > 0).double()
    better = right.clone()
    better[:10] = 1
    resampler = Resampler(torch.arange(500))
    a, b = (share_estimate(r, resampler) for r in (better, right))
    difference = a.minus(b).interval()
    assert difference.low > 0
    assert a.interval().low < b.interval().high
    assert (a.minus(a).draws == 0).all()


def test_numbers_without_resamples_have_no_interval_but_that_of_pools():
    bare = [pool_estimate(v, np.empty(0), 10, SHARE) for v in (0.1, 0.2, 0.3)]
    assert math.isnan(bare[0].interval().low)
    pooled = over_pools(bare).interval()
    assert 0 < pooled.low < 0.2 < pooled.high < 1
