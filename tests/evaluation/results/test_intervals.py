import pytest
import torch

from stockpot.evaluation import Difference, Interval, paired_difference


def draws(probability, count, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return (torch.rand(count, generator=generator) < probability).double()


def mean(values, originals):
    """The interval of a mean: of its difference from nothing."""
    return paired_difference(values, torch.zeros_like(values), originals)


def test_views_of_one_original_do_not_count_as_independent_samples():
    once = draws(0.6, 300)
    copies, originals = once.repeat(4), torch.arange(300).repeat(4)
    single, copied = (
        mean(once, torch.arange(300)),
        mean(copies, originals),
    )
    assert copied == single
    copies[0] = 1 - copies[0]
    mixed = mean(copies, originals)
    assert mixed.high - mixed.low == pytest.approx(single.high - single.low, rel=0.1)
    naive = mean(copies, torch.arange(1200))
    assert naive.high - naive.low < 0.6 * (mixed.high - mixed.low)


def test_the_bootstrap_covers_the_truth_about_as_often_as_it_says():
    covered = 0
    for seed in range(60):
        shared = draws(0.5, 100, seed).repeat(2)
        own = draws(0.7, 200, 1000 + seed)
        interval = mean((shared + own) / 2, torch.arange(100).repeat(2))
        covered += interval.low <= 0.6 <= interval.high
    assert 50 <= covered <= 60


def test_the_paired_difference_sees_what_separate_intervals_do_not():
    originals = torch.arange(500)
    worse = draws(0.7, 500)
    better = worse.clone()
    better[(worse == 0).nonzero()[:12]] = 1
    difference = paired_difference(better, worse, originals)
    assert difference.value == pytest.approx(12 / 500)
    assert difference.low > 0
    assert mean(worse, originals).high > mean(better, originals).low


def test_equal_scores_cannot_be_told_apart():
    scores = draws(0.7, 100)
    nothing = paired_difference(scores, scores, torch.arange(100))
    assert nothing == Interval(0, 0, 0)
    assert not Difference("a", "b", nothing).decided()


@pytest.mark.parametrize(
    ("interval", "phrase"),
    [
        (Interval(0.05, 0.03, 0.07), "5.0 points [3.0, 7.0] above b"),
        (Interval(-0.05, -0.07, -0.03), "5.0 points [3.0, 7.0] below b"),
        (Interval(0.01, -0.01, 0.03), "not to be told from b (+1.0 points [-1.0, 3.0])"),
        (Interval(0.01, 0.0, 0.03), "not to be told from b (+1.0 points [0.0, 3.0])"),
    ],
)
def test_a_difference_says_only_what_its_interval_carries(interval, phrase):
    assert Difference("a", "b", interval).phrase() == phrase
