import pytest
import torch

from stockpot.data import Invert, Splits
from stockpot.errors import MergeError, StockpotError
from stockpot.evaluation import Task, cross_task, merge_bodies
from stockpot.methods import Average, TaskArithmetic
from stockpot.networks import build

from .making import few_digits, fitted, mlp


@pytest.fixture(scope="module")
def tasks():
    plain = few_digits()
    dark = Splits(*(Invert()(part) for part in (plain.train, plain.selection, plain.test)))
    start = fitted(mlp(), plain.train, 9)
    return [
        Task("plain", fitted(start, plain.train, 0), plain),
        Task("dark", fitted(start, dark.train, 1), dark),
    ]


def test_bodies_are_shared_and_heads_stay_private(tasks):
    before = [task.network.head.weight.clone() for task in tasks]
    merged = merge_bodies(tasks, Average())
    one, other = (merged[task.name].state_dict() for task in tasks)
    for name in one:
        assert torch.equal(one[name], other[name]) != name.startswith("head."), name
    for task, weight in zip(tasks, before, strict=True):
        assert torch.equal(merged[task.name].head.weight, weight)
        assert torch.equal(task.network.head.weight, weight)
        assert not merged[task.name].training


def test_heads_of_different_sizes_are_no_obstacle(tasks):
    small = build("mlp", num_classes=3, in_channels=1, image_size=8, width=16, depth=1)
    merged = merge_bodies([tasks[0], Task("small", small, tasks[0].splits)], Average())
    assert merged["small"].head.weight.shape == (3, 16)


def test_each_task_is_judged_on_its_own_data(tasks):
    start = mlp()
    found = cross_task(
        tasks,
        methods=[Average(), TaskArithmetic(scale=0.5)],
        base=start,
        baselines={"joint": {task.name: start for task in tasks}},
    )
    rows = {
        (r.method, r.data): r for r in found.rows if (r.split, r.metric) == ("test", "accuracy")
    }
    methods = ["individual", "uniform-soup", "task-arithmetic", "joint"]
    assert set(rows) == {(m, task.name) for m in methods for task in tasks}
    assert rows["individual", "dark"].value > rows["joint", "dark"].value
    assert rows["uniform-soup", "dark"].n == 2
    assert [(one.a, one.b) for one in found.differences] == [
        ("uniform-soup:plain", "individual"),
        ("task-arithmetic:plain", "individual"),
        ("uniform-soup:dark", "individual"),
        ("task-arithmetic:dark", "individual"),
    ]
    difference = rows["uniform-soup", "dark"].value - rows["individual", "dark"].value
    assert found.differences[2].interval.value == pytest.approx(difference)


def test_the_same_network_twice_is_itself(tasks):
    twice = [
        Task("a", tasks[0].network, tasks[0].splits),
        Task("b", tasks[0].network, tasks[1].splits),
    ]
    found = cross_task(twice)
    assert all(one.interval.value == one.interval.high == 0 for one in found.differences)


def test_what_does_not_fit_is_refused(tasks):
    with pytest.raises(StockpotError, match="two or more"):
        cross_task(tasks[:1])
    with pytest.raises(StockpotError, match=r"no network for \['dark'\]"):
        cross_task(tasks, baselines={"joint": {"plain": mlp()}})
    with pytest.raises(MergeError, match="none of plain's tensors"):
        cross_task(tasks, private=("classifier.*",))
    with pytest.raises(MergeError, match="all of plain's tensors"):
        cross_task(tasks, private=("*",))
    with pytest.raises(StockpotError, match="stands twice"):
        cross_task(tasks, methods=[Average(), Average()])
