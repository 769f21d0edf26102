"""Every sample is with one client, shares are those of the distribution, and all of it repeats."""

import numpy as np
import pytest
import torch

from stockpot.data import Dataset, Splits
from stockpot.errors import StockpotError
from stockpot.federated import by_domain, by_label


def data(count, *, start, domains=()):
    """Samples whose input is their number; labels go round."""
    number = torch.arange(start, start + count)
    return Dataset(
        "d",
        number.float().reshape(-1, 1, 1, 1),
        number % 4,
        4,
        number,
        domains=domains,
        domain=(number // 4) % len(domains) if domains else None,
    )


def splits(train=400, test=200, **more):
    parts = data(train, start=0, **more), data(8, start=10_000, **more)
    return Splits(*parts, data(test, start=20_000, **more))


def held(holdings, part):
    return torch.cat([getattr(one, part).originals for one in holdings]).tolist()


@pytest.mark.parametrize("alpha", [0.05, 0.5, 100.0])
def test_every_sample_is_with_one_client_and_the_split_repeats(alpha):
    whole = splits()
    first, again = (by_label(whole, 6, alpha, seed=3) for _ in range(2))
    assert sorted(held(first, "train")) == whole.train.originals.tolist()
    assert sorted(held(first, "test")) == whole.test.originals.tolist()
    assert [one.client for one in first] == list(range(6))
    assert held(first, "train") == held(again, "train")
    assert held(first, "train") != held(by_label(whole, 6, alpha, seed=4), "train")
    assert min(len(one.train) for one in first) >= 2


def counts(holdings, part):
    return np.array(
        [np.bincount(getattr(one, part).labels.numpy(), minlength=4) for one in holdings]
    )


def test_test_parts_have_the_shares_of_the_train_parts():
    holdings = by_label(splits(4000, 2000), 5, 0.3, seed=0)
    shares = [counts(holdings, part) / counts(holdings, part).sum(0) for part in ("train", "test")]
    assert np.abs(shares[0] - shares[1]).max() < 0.005


def test_alpha_is_the_skew():
    def largest(alpha):
        tables = [counts(by_label(splits(), 4, alpha, seed=s), "train") for s in range(5)]
        return np.mean([(t / t.sum(0)).max(0).mean() for t in tables])

    assert largest(0.05) > 0.8 > largest(0.5) > largest(1000.0) > 0.25
    even = counts(by_label(splits(), 4, 9e5, seed=0), "train")
    assert np.abs(even - 25).max() <= 1


def test_each_client_has_one_domain():
    whole = splits(domains=("a", "b", "c"))
    holdings = by_domain(whole, 5, seed=1)
    assert [one.train.domain.unique().tolist() for one in holdings] == [[0], [1], [2], [0], [1]]
    assert [one.test.domain.unique().tolist() for one in holdings] == [[0], [1], [2], [0], [1]]
    assert sorted(held(holdings, "train")) == whole.train.originals.tolist()
    assert abs(len(holdings[0].train) - len(holdings[3].train)) <= 1


def test_what_cannot_be_split_is_said():
    with pytest.raises(StockpotError, match="100 clients has 2: raise alpha"):
        by_label(splits(120), 100, 0.01, seed=0)
    with pytest.raises(StockpotError, match="'d' has 0 domains"):
        by_domain(splits(), 4, seed=0)
    with pytest.raises(StockpotError, match=r"'d' has 3 domains.*got 2 clients"):
        by_domain(splits(domains=("a", "b", "c")), 2, seed=0)
