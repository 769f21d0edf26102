"""What the jobs of an experiment with tasks come to: one network for each, or one for all."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn, cast

from torch import Tensor, nn

from ...experiments.additions import ScopePenalty
from ...experiments.cells import own_weights
from ...networks import MultiTask, load_others, load_over, load_task, load_weights
from ...networks.reproducible import derived
from ...values.result import Progress
from ..fitting.jointly import fit_jointly
from ..fitting.saves import Save
from .cell import Cell, state_digest
from .job import Job
from .phases import JOINT, Phase, passes, start_seed
from .preparation import (
    Learn,
    PreparedJob,
    added_to,
    learn_on,
    plan_of,
    score_on,
    selection_score,
    state_of,
    take_weights,
)
from .tasks import Tasks, open_tasks, task_record


def task_work_of(job: Job) -> PreparedJob:
    """Of the start of a pool, of the network trained on all tasks, or of one task's network."""
    tasks = open_tasks(job.experiment)
    if job.index is None or job.index == JOINT:
        return _of_all(job, tasks)
    return _of_one(job, tasks)


def _of_one(job: Job, tasks: Tasks) -> PreparedJob:
    """A task's network, from this task's head of the start, and its body or the task before's."""
    task, cell = job.name, tasks.cells[job.name]
    spec = next(one for one in job.experiment.tasks if one.name == task)
    if spec.weights:
        network, origin = _given(cell, spec.weights), spec.weights
    elif job.from_base:
        network, origin = load_task(cell.network(0), job.base, task), job.base.name
    else:
        network, origin = cell.network(derived(job.pool, "start", task)), "random weights"
    if job.previous:
        network, origin = load_others(network, job.previous, tasks.own), job.previous.name
    tasks.hold_heads(network, task)
    made = job.experiment.ingredients
    facts = {
        "task": task_record(job.experiment, spec),
        "data_digest": cell.digest,
        "heads": made.heads,
        "private": sorted(tasks.own),
    }
    parent = {"from": origin, "digest": state_digest(network.state_dict())}
    learn = learn_on(cell, job)
    return PreparedJob(network, plan_of(job, facts, parent), learn, score_on(cell), state_of)


def _given(cell: Cell, path: str) -> nn.Module:
    """A network with given weights; what it brings itself and they lack, it keeps."""
    network = cell.network(0)
    if own_weights(cell.spec):
        load_over(network, Path(path))
    else:
        load_weights(network, Path(path))
    return network


def _of_all(job: Job, tasks: Tasks) -> PreparedJob:
    """One body with a head for each task: the common start, or the jointly trained network."""
    if job.from_base:
        networks = {
            task: load_task(cell.network(0), job.base, task) for task, cell in tasks.cells.items()
        }
        origin = job.base.name
    else:
        networks, origin = _new(job, tasks)
    together = tasks.together(networks)
    if job.index == JOINT:
        for task, network in networks.items():
            tasks.hold_heads(network, task)
    facts = {
        "tasks": [task_record(job.experiment, task) for task in job.experiment.tasks],
        "data_digest": {task: cell.digest for task, cell in tasks.cells.items()},
        "heads": job.experiment.ingredients.heads,
        "private": sorted(tasks.own),
        "passes": passes(job.experiment, job.index),
    }
    parent = {"from": origin, "digest": state_digest(together.tensors())}
    return PreparedJob(
        together, plan_of(job, facts, parent), _learn_all(job, tasks), _score_all(tasks), _tensors
    )


def _new(job: Job, tasks: Tasks) -> tuple[dict[str, nn.Module], str]:
    """Networks with heads of their own; the first's body is the one that is shared."""
    seed, weights = start_seed(job.experiment, job.pool, None), job.experiment.ingredients.weights
    networks: dict[str, nn.Module] = {}
    for task, cell in tasks.cells.items():
        own = derived(job.pool, "start", task) if networks else seed
        networks[task] = cell.network(own)
        if weights:
            take_weights(networks[task], weights.path, cell, head="new")
    return networks, weights.path if weights else "random weights"


def _learn_all(job: Job, tasks: Tasks) -> Learn:
    def learn(network: nn.Module, phase: Phase, save: Save, progress: Progress) -> nn.Module:
        return fit_jointly(
            cast(MultiTask, network),
            {task: cell.splits.train for task, cell in tasks.cells.items()},
            phase.how,
            passes(job.experiment, job.index),
            augment=phase.augment,
            device=job.device,
            additions=added_to(phase, network, job, _no_target),
            save=save,
            progress=progress,
        )

    return learn


def _no_target(scope: ScopePenalty) -> NoReturn:
    raise AssertionError(f"{scope.target.kind} was refused with tasks")


def _score_all(tasks: Tasks) -> Any:
    def score(network: nn.Module) -> dict[str, Any]:
        together = cast(MultiTask, network)
        each = {
            task: selection_score(together.network(task), cell.splits)
            for task, cell in tasks.cells.items()
        }
        return {
            "selection_metric": ", ".join(dict.fromkeys(metric for metric, _ in each.values())),
            "selection_score": sum(value for _, value in each.values()) / len(each),
            "selection_scores": {task: value for task, (_, value) in each.items()},
        }

    return score


def _tensors(network: nn.Module) -> Mapping[str, Tensor]:
    return cast(MultiTask, network).tensors()
