"""One budget for every merge method of a comparison."""

import pytest

from stockpot.data import Invert, Splits
from stockpot.evaluation import TaskNetwork, TaskPool, compare_pools
from stockpot.evaluation.contests import contest
from stockpot.evaluation.contests.cross_task import cross_task
from stockpot.methods import TaskArithmetic, Ties
from stockpot.recipes.reading.searching import Budget

from ..making import few_digits, fitted, mlp, trained_pool


def test_every_method_has_the_same_budget_on_the_selection_split_alone(monkeypatch):
    splits, seen, predict = few_digits(), [], contest.predict
    pool = trained_pool(3, splits)

    def predicting(network, data, **more):
        seen.append((more["called"], data is splits.test))
        return predict(network, data, **more)

    monkeypatch.setattr(contest, "predict", predicting)
    found = compare_pools(
        [pool],
        counts=[2, 3],
        subsets=1,
        methods=["uniform-soup", Ties(), TaskArithmetic(scale=0.4), "median"],
        search=Budget(trials=4, sampler="random"),
    )
    called = [what for what, _ in seen]
    assert called.count("ties candidate") == called.count("task-arithmetic candidate") == 2 * 4
    assert not any(test for what, test in seen if what.endswith("candidate"))
    names = {"ties (tuned, 4 trials)", "task-arithmetic (tuned, 4 trials)"}
    beside = {"single-mean", "single-best", "logits-ensemble"}
    assert {row.method for row in found.rows} == {"uniform-soup", "median", *names, *beside}
    assert sum(test for _, test in seen) == 2 * 4  # each of the four, once for each N
    for method in ("ties", "task-arithmetic"):
        tried = [one for one in found.attempts if (one.method, one.n) == (method, 3)]
        assert tried[0].origin == "given"
        (row,) = (
            row
            for row in found.rows
            if row.method.startswith(method) and (row.split, row.n) == ("selection", 3)
            if row.metric == "accuracy"
        )
        assert row.value == max(one.score for one in tried)
    assert "4 trials by random" in dict(found.facts)["tuned"]


@pytest.mark.parametrize("sampler", ["tpe", "cma-es"])
def test_tasks_are_tuned_by_their_mean(sampler):
    plain = few_digits()
    dark = Splits(*(Invert()(part) for part in (plain.train, plain.selection, plain.test)))
    start = fitted(mlp(), plain.train, 9)
    tasks = [
        TaskNetwork("plain", fitted(start, plain.train, 0), plain),
        TaskNetwork("dark", fitted(start, dark.train, 1), dark),
    ]
    pool = TaskPool(seed=0, tasks=tasks, base=start.state_dict())
    found = cross_task(
        [pool],
        methods=["uniform-soup", TaskArithmetic()],
        search=Budget(trials=5, sampler=sampler),
    )
    tuned = "task-arithmetic (tuned, 5 trials)"
    (row,) = (
        row
        for row in found.rows
        if (row.method, row.data, row.split, row.metric)
        == (tuned, "all-tasks", "selection", "accuracy")
    )
    assert row.value == pytest.approx(max(one.score for one in found.attempts))
    assert len(found.attempts) == 5
    assert tuned in {one.a for one in found.differences}
    assert found.conclusion.startswith("Of the merges, the selection split prefers")
