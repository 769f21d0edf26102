import json

import pytest
import torch
from safetensors import safe_open

from stockpot.data import Invert, digits, three_way
from stockpot.evaluation import accuracy, predict
from stockpot.networks import build, load_weights
from stockpot.training import Fit, Ingredient, train_pool


@pytest.fixture(scope="module")
def splits():
    return three_way(digits().take(torch.arange(400)), selection=0.2, test=0.2)


@pytest.fixture
def starts():
    options = {"num_classes": 10, "in_channels": 1, "image_size": 8, "width": 16}
    return [build("mlp", seed=seed, **options) for seed in (0, 1)]


POOL = (
    Ingredient(name="dark", task=Invert(), how=Fit(epochs=2, lr=0.01, seed=4)),
    Ingredient(name="plain", how=Fit(epochs=1)),
)


def test_each_ingredient_is_trained_from_its_start_and_says_how(splits, starts, tmp_path):
    pool = train_pool(
        POOL,
        starts,
        splits.train,
        selection=splits.selection,
        folder=tmp_path / "new",
        origin={"network": "mlp", "start": "random"},
    )
    for ingredient, start, kept in zip(POOL, starts, pool, strict=True):
        expected = ingredient.train(start, splits.train)
        assert kept.path == tmp_path / "new" / f"{ingredient.name}.safetensors"
        assert kept.selection_accuracy == accuracy(predict(expected, splits.selection))
        for network in (kept.network, load_weights(start, kept.path)):
            assert torch.equal(network.head.weight, expected.head.weight)
        with safe_open(kept.path, "pt") as file:
            record = json.loads(file.metadata()["stockpot.ingredient"])
        assert Fit(**record["how"]) == ingredient.how
        assert record["selection_accuracy"] == kept.selection_accuracy
        assert (record["network"], record["start"]) == ("mlp", "random")
    assert record["task"] == "as they are"


def test_progress_names_the_ingredient_and_counts_the_pool(splits, starts, tmp_path):
    told = []
    train_pool(
        POOL,
        starts,
        splits.train,
        selection=splits.selection,
        folder=tmp_path,
        origin={},
        progress=lambda name, done: told.append((name, done)),
    )
    assert told == [("dark", 0.25), ("dark", 0.5), ("plain", 1.0)]


def test_every_ingredient_needs_a_start(splits, starts, tmp_path):
    with pytest.raises(ValueError, match="zip"):
        train_pool(
            POOL,
            starts[:1],
            splits.train,
            selection=splits.selection,
            folder=tmp_path,
            origin={},
        )
