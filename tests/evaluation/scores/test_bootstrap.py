import math
from dataclasses import astuple

import numpy as np
import pytest
import torch

from stockpot.evaluation.scores.bootstrap import Estimate, Resampler, mean_estimate, over_pools


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
    interval = Estimate(0.8, resampler.means(right), 1000).interval()
    half = 1.96 * math.sqrt(0.8 * 0.2 / 1000)
    assert interval.low == pytest.approx(0.8 - half, abs=0.004)
    assert interval.high == pytest.approx(0.8 + half, abs=0.004)


def estimates(values, spread=0.0, seed=0):
    noise = np.random.default_rng(seed)
    return [Estimate(v, v + spread * noise.standard_normal(2000), 100) for v in values]


def test_pools_make_the_interval_wider_and_one_pool_does_not():
    (one,) = estimates([0.5], spread=0.01)
    assert over_pools([one]) is one
    several = over_pools(estimates([0.4, 0.5, 0.6], spread=0.01))
    assert several.value == pytest.approx(0.5)
    alone, pooled = one.interval(), several.interval()
    assert pooled.high - pooled.low > 3 * (alone.high - alone.low)


def test_the_variance_of_a_mean_over_pools_is_unbiased():
    values = [0.40, 0.47, 0.60]
    draws = over_pools(estimates(values)).draws
    assert np.var(draws) == pytest.approx(np.var(values, ddof=1) / 3, rel=0.1)


def test_the_hierarchical_interval_covers_pools_and_samples_about_as_often_as_it_says():
    """Pools differ, and so do test sets: an interval over samples alone would miss."""
    covered = narrow = 0
    for seed in range(60):
        luck = np.random.default_rng(seed)
        chances = 0.7 + 0.03 * luck.standard_normal(8)
        hardness = luck.random(150)
        right = [torch.as_tensor(hardness < p).double() for p in chances]
        resampler = Resampler(torch.arange(150))
        pools = [Estimate(float(r.mean()), resampler.means(r), 150) for r in right]
        interval = over_pools(pools).interval()
        covered += interval.low <= 0.7 <= interval.high
        one = pools[0].interval()
        narrow += one.low <= 0.7 <= one.high
    assert covered >= 53
    assert narrow <= covered


def test_copies_of_a_pools_subset_do_not_make_it_surer():
    (one,) = estimates([0.5], spread=0.01)
    many, alone = mean_estimate([one] * 10).interval(), one.interval()
    assert astuple(many) == pytest.approx(astuple(alone))


def test_a_difference_is_paired():
    right = (torch.arange(500) % 3 > 0).double()
    better = right.clone()
    better[:10] = 1
    resampler = Resampler(torch.arange(500))
    a, b = (Estimate(float(r.mean()), resampler.means(r), 500) for r in (better, right))
    difference = a.minus(b).interval()
    assert difference.low > 0
    assert a.interval().low < b.interval().high
    assert (a.minus(a).draws == 0).all()


def test_numbers_without_resamples_have_no_interval_but_that_of_pools():
    bare = [Estimate(v, np.empty(0), 10) for v in (0.1, 0.2, 0.3)]
    assert math.isnan(bare[0].interval().low)
    pooled = over_pools(bare).interval()
    assert pooled.low < 0.2 < pooled.high
