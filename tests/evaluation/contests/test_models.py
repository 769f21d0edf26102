"""Comparing networks that exist: what goes in, what it is called, and sweeps side by side."""

import math
from dataclasses import replace

import pytest
import torch
from torch.utils.data import DataLoader, TensorDataset

import stockpot
from stockpot.data import three_way
from stockpot.data.readers.bundled import digits
from stockpot.errors import FieldError, StockpotError
from stockpot.evaluation.contests.models import compare, reestimation
from stockpot.evaluation.results.sweeps import join
from stockpot.networks import build, save_weights

SHAPE = {"num_classes": 10, "in_channels": 1, "image_size": 8}
SPEC = {"name": "mlp", "width": 8}


@pytest.fixture(scope="module")
def splits():
    data = digits()
    return three_way(data.take(torch.arange(600)), selection=0.3, test=0.4)


@pytest.fixture(scope="module")
def models():
    start = build("mlp", width=8, seed=0, **SHAPE)
    states = []
    for seed in range(3):
        generator = torch.Generator().manual_seed(seed)
        states.append(
            {
                name: one + 0.05 * torch.randn(one.shape, generator=generator)
                for name, one in start.state_dict().items()
            }
        )
    return start, states


def values(table, split="test"):
    return {
        (row.method, row.n): row.value
        for row in table.rows
        if (row.split, row.metric) == (split, "accuracy")
    }


def test_state_dicts_modules_and_files_give_the_same_table(models, splits, tmp_path):
    _start, states = models
    networks, paths = [], []
    for number, state in enumerate(states):
        network = build("mlp", width=8, **SHAPE)
        network.load_state_dict(state)
        networks.append(network)
        paths.append(tmp_path / f"m{number}.safetensors")
        save_weights(network, paths[-1], {})
    methods = ["single-best", "uniform-soup", "logits-ensemble"]
    tables = [
        stockpot.compare(given, SPEC, splits, counts=[2, 3], methods=methods)
        for given in (states, networks, paths)
    ]
    assert values(tables[0]) == values(tables[1]) == values(tables[2])
    assert len(values(tables[0])) > 3
    assert all(0 <= value <= 1 for value in values(tables[0]).values())


def test_copies_of_one_model_are_that_model(models, splits):
    _, (state, *_) = models
    methods = ["single-mean", "uniform-soup", "greedy-soup", "logits-ensemble"]
    table = compare([state, state], SPEC, splits, counts=[2], methods=methods)
    assert len(set(values(table).values())) == 1


def test_a_base_is_for_methods_that_need_one(models, splits):
    start, states = models
    table = compare(states, SPEC, splits, base=start, counts=[3], methods=["ties"])
    assert ("ties", 3) in values(table)
    with pytest.raises(StockpotError, match="ties needs a base"):
        compare(states, SPEC, splits, counts=[3], methods=["ties"])


def brier(labels, predictions):
    return ((predictions - torch.nn.functional.one_hot(labels, 10)) ** 2).sum(1).mean()


def midrange(stack):
    rows = stack.stacked()
    return (rows.amin(0) + rows.amax(0)) / 2


def test_what_is_in_memory_is_taken_as_it_is(models, splits):
    """Modules, functions that make them, arrays, loaders, metrics and methods as functions."""
    _, states = models
    networks = [build("mlp", width=8, **SHAPE) for _ in states]
    for network, state in zip(networks, states, strict=True):
        network.load_state_dict(state)

    def mlp(num_classes, image_size):
        return build("mlp", width=8, num_classes=num_classes, in_channels=1, image_size=image_size)

    named = {"train": splits.train, "selection": splits.selection, "test": splits.test}
    pairs = {name: (one.inputs, one.labels) for name, one in named.items()}
    loaders = {
        name: DataLoader(TensorDataset(*pair), batch_size=50) for name, pair in pairs.items()
    }
    methods = ["single-best", "uniform-soup", midrange]
    tables = [
        compare(given, network, data, counts=[2], methods=methods, metric=metric)
        for given, network, data, metric in (
            (states, SPEC, splits, None),
            (networks, None, pairs, "accuracy"),
            (states, mlp, loaders, None),
            (states, networks[0], lambda: pairs, None),
        )
    ]
    for table in tables[1:]:
        assert values(table) == values(tables[0])
    assert [name for name, _ in values(tables[0])][-1].endswith(":midrange")
    table = compare(networks, data=pairs, counts=[2], methods=["uniform-soup"], metric=brier)
    assert "brier" in {row.metric for row in table.rows}
    pair = splits.test.inputs, splits.test.labels
    assert compare(networks, data=pair, methods=["uniform-soup"]).origin.count("cut afresh")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"network": None}, "network: of checkpoints and state dicts nobody knows"),
        ({"network": lambda width: None}, "needs 'width': give it .* or take num_classes"),
        ({"network": lambda: 3}, "must return a torch.nn.Module; got int"),
        ({"data": None}, "no data to compare on"),
        ({"data": [1, 2]}, r"must be a .*Dataset.* or a DataLoader; got list"),
        ({"data": {"test": digits()}}, "parts are train and, beside it"),
        ({"data": (torch.rand(3, 1, 8, 8), torch.rand(3))}, "labels must be whole numbers"),
        ({"data": DataLoader(TensorDataset(torch.rand(3, 1)))}, "each batch of a loader must be"),
        ({"metric": lambda guess: 1.0}, "its parameters must be called"),
    ],
)
def test_what_cannot_be_taken_is_said(models, splits, change, words):
    given = {"network": SPEC, "data": splits, "counts": [2], **change}
    with pytest.raises(StockpotError, match=words):
        compare(models[1], **given)


def test_nothing_to_compare(splits):
    with pytest.raises(FieldError, match="no model to compare"):
        compare([], SPEC, splits)


def test_only_networks_with_statistics_are_mended():
    assert reestimation(build("mlp", **SHAPE)) is None
    assert reestimation(build("resnet-8", width=4, **SHAPE)) is not None


def test_cells_side_by_side(models, splits):
    _, states = models
    one = compare(states, SPEC, splits, counts=[2], methods=["single-best", "uniform-soup"])
    assert join([one]) is one
    other = replace(one, rows=tuple(replace(row, network="wide") for row in one.rows))
    both = join([one, other])
    assert len(both.rows) == 2 * len(one.rows)
    assert both.verdict is None
    assert "wide on digits: " in both.conclusion
    assert len(both.summary()) == 2 * len(one.summary())
    names = [name for name, _ in both.facts]
    assert len(names) == len(set(names))
    assert not any(math.isnan(row.value) for row in both.rows if row.metric == "accuracy")
    with pytest.raises(StockpotError, match="no comparison"):
        join([])
