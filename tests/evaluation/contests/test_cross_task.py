from importlib import import_module

import pytest
import torch

from stockpot.data import Invert, Splits
from stockpot.errors import FieldError, MergeError, StockpotError
from stockpot.evaluation import TaskNetwork, TaskPool
from stockpot.evaluation.contests.bodies import merge_bodies
from stockpot.evaluation.contests.cross_task import cross_task
from stockpot.evaluation.results.comparison import ALL_TASKS
from stockpot.methods import Average, TaskArithmetic
from stockpot.networks import build

from ..making import few_digits, fitted, mlp


@pytest.fixture(scope="module")
def start():
    return fitted(mlp(), few_digits().train, 9)


@pytest.fixture(scope="module")
def tasks(start):
    plain = few_digits()
    dark = Splits(*(Invert()(part) for part in (plain.train, plain.selection, plain.test)))
    return [
        TaskNetwork("plain", fitted(start, plain.train, 0), plain),
        TaskNetwork("dark", fitted(start, dark.train, 1), dark),
    ]


@pytest.fixture(scope="module")
def pool(tasks, start):
    joint = {task.name: start for task in tasks}
    return TaskPool(seed=0, tasks=tasks, base=start.state_dict(), controls={"joint": joint})


def values(found, split="test"):
    return {
        (row.method, row.data, row.metric, row.n): row.value
        for row in found.summary()
        if row.split == split
    }


def test_bodies_are_shared_and_heads_stay_private(tasks, pool):
    before = [task.network.head.weight.clone() for task in tasks]
    merged = merge_bodies(tasks, Average(), pool.own())
    one, other = (merged[task.name].state_dict() for task in tasks)
    for name in one:
        assert torch.equal(one[name], other[name]) != name.startswith("head."), name
    for task, weight in zip(tasks, before, strict=True):
        assert torch.equal(merged[task.name].head.weight, weight)
        assert torch.equal(task.network.head.weight, weight)
        assert not merged[task.name].training


def test_heads_of_different_sizes_are_no_obstacle(tasks, pool):
    small = build("mlp", num_classes=3, in_channels=1, image_size=8, width=16, depth=1)
    some = [tasks[0], TaskNetwork("small", small, tasks[0].splits)]
    assert merge_bodies(some, Average(), pool.own())["small"].head.weight.shape == (3, 16)


def test_copies_of_one_body_are_the_individual_networks_to_the_last_bit(tasks, pool):
    twice = [
        TaskNetwork("a", tasks[0].network, tasks[0].splits),
        TaskNetwork("b", tasks[0].network, tasks[0].splits),
    ]
    merged = merge_bodies(twice, Average(), pool.own())
    for task in twice:
        there, own = merged[task.name].state_dict(), task.network.state_dict()
        assert all(torch.equal(there[name], own[name]) for name in own)
    found = cross_task(
        [
            TaskPool(
                seed=0, tasks=twice, controls={"again": {one.name: one.network for one in twice}}
            )
        ],
        methods=["uniform-soup", "logits-ensemble"],
    )
    assert {one.a for one in found.differences} == {"uniform-soup", "logits-ensemble", "again"}
    assert all(one.interval.low == one.interval.high == 0 for one in found.differences)
    quotients = [row for row in found.rows if row.metric == "normalised accuracy"]
    assert {row.value for row in quotients} == {1.0}


def test_each_task_is_judged_on_its_own_data_and_the_mean_is_theirs(pool):
    found = cross_task([pool], methods=[Average(), TaskArithmetic(scale=0.5), "logits-ensemble"])
    seen = values(found)
    methods = {"individual", "uniform-soup", "task-arithmetic", "logits-ensemble", "joint"}
    assert {(m, d) for m, d, *_ in seen} == {
        (m, d) for m in methods for d in (ALL_TASKS, "plain", "dark")
    }
    for method in methods:
        for metric in ("accuracy", "normalised accuracy", "nll"):
            each = [seen[method, task, metric, 2] for task in ("plain", "dark")]
            assert seen[method, ALL_TASKS, metric, 2] == pytest.approx(sum(each) / 2)
        for task in ("plain", "dark"):
            quotient = seen[method, task, "accuracy", 2] / seen["individual", task, "accuracy", 2]
            assert seen[method, task, "normalised accuracy", 2] == pytest.approx(quotient)
    (gap,) = [d for d in found.differences if (d.a, d.b) == ("uniform-soup", "joint")]
    of = {m: seen[m, ALL_TASKS, "accuracy", 2] for m in ("uniform-soup", "joint")}
    assert gap.interval.value == pytest.approx(of["uniform-soup"] - of["joint"])
    assert gap.n == 2
    costs = {row.method: row.forwards for row in found.rows}
    assert (costs["logits-ensemble"], costs["uniform-soup"]) == (2, 1)


def test_an_ensemble_is_the_mean_of_what_bodies_give_through_the_tasks_head(tasks, pool):
    found = values(cross_task([pool], methods=["logits-ensemble"]))
    test = tasks[1].splits.test
    with torch.no_grad():
        features = [task.network.features(test.images) for task in tasks]
        logits = tasks[1].network.head(sum(features) / 2)
    right = (logits.argmax(1) == test.labels).double().mean()
    assert found["logits-ensemble", "dark", "accuracy", 2] == pytest.approx(float(right), abs=2e-3)


def test_the_first_n_are_merged_and_nothing_is_run_twice(tasks, start, monkeypatch):
    three = [*tasks, TaskNetwork("again", tasks[1].network, tasks[1].splits)]
    runs = []
    module = import_module("stockpot.evaluation.contests.contest")
    kept = module.predict
    monkeypatch.setattr(
        module, "predict", lambda *a, **k: runs.append(k["called"]) or kept(*a, **k)
    )
    pool = TaskPool(seed=0, tasks=three)
    found = values(cross_task([pool], counts=[2, 3], methods=["uniform-soup", "logits-ensemble"]))
    alone = values(cross_task([TaskPool(seed=0, tasks=tasks)]))
    for key, value in alone.items():
        assert found[key] == value
    assert ("uniform-soup", "again", "accuracy", 2) not in found
    # 3 individuals, 6 bodies lent, 2 + 3 merges; then 2 and 2: each on two splits
    assert len(runs) == 2 * (3 + 6 + 5) + 2 * (2 + 2)


def test_costs_are_of_the_bodies_and_heads_that_are_kept_and_run(pool, tasks):
    found = cross_task([pool], methods=["uniform-soup", "logits-ensemble"])
    costs = {(one.method, one.data): one for one in found.costs}
    network = tasks[0].network
    whole = sum(one.numel() for one in network.parameters())
    head = sum(one.numel() for one in network.head.parameters())
    kept = {"individual": 2 * whole, "uniform-soup": whole + head, "joint": whole + head}
    for method, parameters in (kept | {"logits-ensemble": 2 * whole}).items():
        one = costs[method, ALL_TASKS]
        assert (one.parameters, one.nbytes) == (parameters, 4 * parameters)
    assert (
        costs["individual", "dark"].parameters == costs["uniform-soup", "dark"].parameters == whole
    )
    soup, ensemble = costs["uniform-soup", ALL_TASKS], costs["logits-ensemble", ALL_TASKS]
    assert (ensemble.macs, ensemble.seconds) == (2 * soup.macs, 2 * soup.seconds)
    assert costs["individual", ALL_TASKS].macs == soup.macs == whole - 16 - 10  # all but the biases


def test_pools_are_resampled_and_several_values_of_a_method_told_apart(tasks, start):
    pools = [TaskPool(seed=seed, tasks=tasks, base=start.state_dict()) for seed in (0, 1)]
    methods = [TaskArithmetic(scale=0.3), TaskArithmetic(scale=0.6)]
    found = cross_task(iter(pools), methods=methods)
    names = {"individual", "task-arithmetic scale=0.3", "task-arithmetic scale=0.6"}
    assert {row.method for row in found.rows} == names
    means = [row for row in found.rows if row.seed == -1 and row.data == ALL_TASKS]
    assert {row.method for row in means} == names
    assert dict(found.facts)["pools"] == "2, seeds 0, 1"


def test_batch_norm_is_estimated_again_on_each_tasks_own_data(tasks):
    from stockpot.networks import reestimate_batch_norm

    shape = {"num_classes": 10, "in_channels": 1, "image_size": 8, "width": 4}
    nets = [build("resnet-8", seed=seed, **shape) for seed in (0, 1)]
    some = [TaskNetwork(t.name, n, t.splits) for t, n in zip(tasks, nets, strict=True)]
    pool = TaskPool(seed=0, tasks=some)
    found = cross_task([pool], reestimate=reestimate_batch_norm, methods=["uniform-soup"])
    names = {"individual", "individual:bn", "uniform-soup", "uniform-soup:bn"}
    assert {row.method for row in found.rows} == names


def test_what_does_not_fit_is_refused(tasks, pool, start):
    with pytest.raises(StockpotError, match="two or more"):
        TaskPool(seed=0, tasks=tasks[:1])
    with pytest.raises(StockpotError, match=r"no network for \['dark'\]"):
        TaskPool(seed=0, tasks=tasks, controls={"joint": {"plain": mlp()}})
    bare = TaskPool(seed=0, tasks=tasks)
    for options, error, words in [
        ({"private": ["classifier.*"]}, StockpotError, "matches no tensor"),
        ({"private": ["*"]}, StockpotError, "leaves nothing to share"),
        ({"methods": [Average(), "uniform-soup"]}, FieldError, "stands twice"),
        ({"methods": ["greedy-soup"]}, FieldError, "give method values"),
        ({"methods": [TaskArithmetic()]}, MergeError, "needs a base"),
        ({"counts": [1]}, FieldError, "counts must differ and lie in 2 to 2"),
        ({"metric": "acuracy"}, FieldError, "No metric"),
    ]:
        with pytest.raises(error, match=words):
            cross_task([bare], **options)
    with pytest.raises(StockpotError, match="no pool"):
        cross_task([])
    with pytest.raises(StockpotError, match="different seeds"):
        cross_task([pool, pool])
