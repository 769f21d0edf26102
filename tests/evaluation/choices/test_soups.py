import copy

import pytest
import torch
from torch import nn

from stockpot.errors import MergeError, StockpotError
from stockpot.evaluation import Ingredients, soup
from stockpot.evaluation.choices.soups import mend
from stockpot.methods import Slerp, TaskArithmetic
from stockpot.networks import save_weights

from ..making import few_digits, mlp, noisy, pool_of


@pytest.fixture(scope="module")
def splits():
    return few_digits()


@pytest.fixture
def networks():
    start = mlp()
    return [noisy(start, 0.1, seed) for seed in range(3)]


def test_the_soup_is_the_mean_and_a_new_network(networks, splits):
    pool = pool_of(networks, splits)
    mixed = soup(pool, (0, 2))
    assert mixed is not networks[0]
    assert not mixed.training
    mean = (networks[0].head.weight + networks[2].head.weight) / 2
    torch.testing.assert_close(mixed.head.weight, mean)
    weighted = soup(pool, (0, 2), weights=(3.0, 1.0))
    torch.testing.assert_close(
        weighted.head.weight, 0.75 * networks[0].head.weight + 0.25 * networks[2].head.weight
    )


def test_files_give_the_same_bits_as_networks(networks, splits, tmp_path):
    paths = [tmp_path / f"{i}.safetensors" for i in range(3)]
    for network, path in zip(networks, paths, strict=True):
        save_weights(network, path, {})
    base = tmp_path / "base.safetensors"
    save_weights(mlp(), base, {})
    held = pool_of(networks, splits, base=mlp())
    filed = pool_of(paths, splits, base=base, build=lambda: mlp(seed=5))
    for method in (None, TaskArithmetic(scale=0.5), Slerp()):
        members = (0, 1) if method else (0, 1, 2)
        one = soup(held, members, method).state_dict()
        other = soup(filed, members, method).state_dict()
        assert all(torch.equal(one[name], other[name]) for name in one)
    assert torch.equal(filed.network(1).head.weight, networks[1].head.weight)
    assert sorted(tmp_path.iterdir()) == sorted([*paths, base])


def test_a_pool_says_what_does_not_fit(networks, splits, tmp_path):
    with pytest.raises(StockpotError, match="must differ"):
        Ingredients(seed=0, names=["a", "a", "b"], sources=networks, splits=splits, build=mlp)
    with pytest.raises(StockpotError, match="3 networks with 1 names"):
        Ingredients(seed=0, names=["a"], sources=networks, splits=splits, build=mlp)
    with pytest.raises(StockpotError, match="mixed"):
        pool_of([*networks, tmp_path], splits)
    with pytest.raises(StockpotError, match="mixed"):
        pool_of(networks, splits, base=tmp_path)
    with pytest.raises(MergeError, match="base"):
        soup(pool_of(networks, splits), (0, 1), TaskArithmetic())


def test_statistics_are_estimated_on_training_inputs_only(splits):
    seen = []

    def reestimate(network, batches):
        seen.extend(batches)
        return sum(isinstance(one, nn.BatchNorm2d) for one in network.modules())

    network = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Flatten()).eval()
    assert mend(copy.deepcopy(network), splits.train, reestimate)
    assert not mend(mlp(), splits.train, reestimate)
    inputs = torch.cat(seen)
    assert len(inputs) == 2 * len(splits.train)
    train = {one.numpy().tobytes() for one in splits.train.images}
    assert {one.numpy().tobytes() for one in inputs} == train
