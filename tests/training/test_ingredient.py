import pytest
import torch

from stockpot.data import Invert, digits, three_way
from stockpot.networks import build
from stockpot.training import Fit, Ingredient, fit


@pytest.fixture(scope="module")
def splits():
    return three_way(digits().take(torch.arange(400)), selection=0.2, test=0.2)


@pytest.fixture
def start():
    return build("mlp", num_classes=10, in_channels=1, image_size=8, width=16)


def test_an_ingredient_is_fitted_to_its_own_view(splits, start):
    how = Fit(epochs=1)
    network = Ingredient(name="dark", task=Invert(), how=how).train(start, splits.train)
    expected = fit(start, Invert()(splits.train), how)
    plain = Ingredient(name="plain", how=how).train(start, splits.train)
    assert torch.equal(network.head.weight, expected.head.weight)
    assert torch.equal(plain.head.weight, fit(start, splits.train, how).head.weight)
    assert not torch.equal(network.head.weight, plain.head.weight)
