"""Comparing networks that exist: what goes in, what it is called, and sweeps side by side."""

import math
from dataclasses import replace

import pytest
import torch

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
