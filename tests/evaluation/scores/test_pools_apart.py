"""Pools whose test sets differ, or overlap; what samples add, kept without draws; ends of AUROC."""

import numpy as np
import pytest
import torch

from stockpot.evaluation.predictions.predict import Predictions
from stockpot.evaluation.results.estimator import over_seeds
from stockpot.evaluation.scores.bootstrap import (
    Resampler,
    over_pools,
    resamplers_of,
    share_estimate,
)
from stockpot.evaluation.scores.metrics import METRICS


def one_variance_and_covariance(first, second, right):
    resamplers = resamplers_of([first, second])
    a, b = (at.means(right[at_G]) for at, at_G in zip(resamplers, (first, second), strict=True))
    return a.var(), np.cov(a, b)[0, 1]


@pytest.mark.parametrize(("start", "overlap"), [(400, 0.0), (200, 0.5), (0, 1.0)])
def test_what_test_sets_have_in_common_is_drawn_alike_and_nothing_else(start, overlap):
    # Sorted by class: by their position, samples of disjoint sets would vary alike.
    right = (torch.arange(800) % 400 < 250).double()
    first, second = torch.arange(400), torch.arange(start, start + 400)
    if overlap == 0.5:
        right = (torch.rand(800, generator=torch.Generator().manual_seed(0)) < 0.6).double()
    variance, covariance = one_variance_and_covariance(first, second, right)
    assert covariance / variance == pytest.approx(overlap, abs=0.1)


def test_equal_test_sets_draw_what_one_resampler_draws():
    sets = [torch.arange(50), torch.arange(50)]
    right = (torch.arange(50) % 3 > 0).double()
    first, second = resamplers_of(sets)
    assert first is second
    assert np.array_equal(first.means(right), Resampler(sets[0]).means(right))


def test_intervals_of_pools_with_test_sets_of_their_own_cover_the_truth():
    generator, covered, width = np.random.default_rng(0), 0, []
    pools, samples, truth, repetitions = 5, 100, 0.75, 400
    resamplers = resamplers_of([torch.arange(samples) + samples * k for k in range(pools)])
    easy = np.repeat([0.95, 0.55], samples // 2)  # sorted by class
    for _ in range(repetitions):
        right = torch.from_numpy(generator.random((pools, samples)) < easy).double()
        interval = over_pools(
            [share_estimate(one, at) for one, at in zip(right, resamplers, strict=True)]
        ).interval()
        covered += interval.low <= truth <= interval.high
        width.append(interval.high - interval.low)
    assert 0.915 <= covered / repetitions <= 0.985


def test_rows_of_different_test_sets_are_not_set_against_each_other():
    sets = [torch.arange(600) + 600 * k for k in range(3)]
    # Lost in one pool and won in another at the same position: nothing if they were one sample.
    win, lose = torch.zeros(600), torch.zeros(600)
    win[:6], lose[:6] = 1, 1
    each = [(win, lose), (lose, win), (win, lose)]
    gaps = [
        share_estimate(a, at).minus(share_estimate(b, at))
        for (a, b), at in zip(each, resamplers_of(sets), strict=True)
    ]
    alike = [
        share_estimate(a, at).minus(share_estimate(b, at))
        for (a, b), at in zip(each, resamplers_of(sets[:1] * 3), strict=True)
    ]
    assert over_pools(gaps).test_set == b""
    assert over_pools(gaps).p_no_worse(0.02) >= over_pools(alike).p_no_worse(0.02)


def test_the_covariance_alone_gives_the_interval_of_the_draws():
    generator = torch.Generator().manual_seed(1)
    resampler = Resampler(torch.arange(300))
    hard = torch.rand(300, generator=generator) < 0.3
    right = [~(hard | (torch.rand(300, generator=generator) < 0.02 * k)) for k in range(1, 5)]
    pools = over_pools([share_estimate(one.double(), resampler) for one in right])
    kept = over_seeds(list(pools.values), pools.bounds, pools.shared())
    interval = pools.interval()
    assert (kept.low, kept.high) == pytest.approx((interval.low, interval.high))
    assert over_seeds(list(pools.values), pools.bounds).low > interval.low


@pytest.mark.parametrize("smaller", [4, 30])
def test_an_auroc_of_one_is_bounded_by_the_smaller_class(smaller):
    labels = (torch.arange(100) < smaller).long()
    logits = torch.stack([-labels.double(), labels.double()], dim=1)
    predictions = Predictions(logits, labels, torch.arange(100))
    resampler = Resampler(predictions.originals)
    auroc = METRICS["auroc"].estimate(predictions, resampler)
    for estimate in (auroc, over_pools([auroc] * 3)):
        interval = estimate.interval()
        assert interval.high == 1
        assert interval.low == pytest.approx(0.025 ** (1 / smaller))
    # All wrong: 0 and as much above it.
    wrong = Predictions(-logits, labels, torch.arange(100))
    interval = METRICS["auroc"].estimate(wrong, resampler).interval()
    assert (interval.low, interval.high) == pytest.approx((0, 1 - 0.025 ** (1 / smaller)))
