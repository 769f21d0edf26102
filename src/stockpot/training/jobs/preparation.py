"""What a job comes to once its data are at hand: a start, how it learns, and what is kept of it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ...data import Splits
from ...evaluation.contests.contest import choose_metric
from ...evaluation.predictions.predict import predict
from ...experiments.additions import ScopePenalty
from ...networks import headed, load_body, load_weights
from ...networks.reproducible import derived
from ...values.result import Progress
from ..additions.adding import Additions, Find, additions_of
from ..additions.scope_penalty import Target
from ..additions.scopes import fuse_scopes, scope_of
from ..fitting.loop import fit
from ..fitting.saves import Save
from .cell import Cell, open_cell, state_digest
from .job import Job
from .phases import Phase, start_seed
from .tasks import HEAD_BATCH

Learn = Callable[[nn.Module, Phase, Save, Progress], nn.Module]


@dataclass(frozen=True, slots=True, eq=False)
class PreparedJob:
    """The parts of one job.

    Attributes:
        start: where training begins.
        plan: what the network is made of, in plain values.
        learn: one phase: the network so far, the phase, where epochs are kept, progress.
        score: what a finished network scores on the selection split, in plain values.
        tensors: what is kept of it, by name.
    """

    start: nn.Module
    plan: Mapping[str, Any]
    learn: Learn
    score: Callable[[nn.Module], Mapping[str, Any]]
    tensors: Callable[[nn.Module], Mapping[str, Tensor]]


def work_of(job: Job) -> PreparedJob:
    """Of a network that is trained on one data set."""
    cell = open_cell(job.experiment, job.pool)
    start, parent = _start(job, cell)
    facts = {"data": job.experiment.resolved()["data"], "data_digest": cell.digest}
    if job.stage > 1:
        facts["stage"] = job.stage
    return PreparedJob(
        start, plan_of(job, facts, parent), learn_on(cell, job), score_on(cell), state_of
    )


def learn_on(cell: Cell, job: Job) -> Learn:
    """Fit to a cell's training split, as a phase sees it."""

    def learn(network: nn.Module, phase: Phase, save: Save, progress: Progress) -> nn.Module:
        train = cell.splits.train
        return fit(
            network,
            phase.task(train) if phase.task else train,
            phase.how,
            augment=phase.augment,
            device=job.device,
            additions=added_to(phase, network, job, lambda scope: _target(scope, cell, job)),
            save=save,
            progress=progress,
        )

    return learn


def added_to(phase: Phase, start: nn.Module, job: Job, find: Find) -> Additions:
    """What a phase adds to a fit that begins at `start`."""
    seed, folder = derived(phase.how.seed, "additions"), job.snapshots(phase.name)
    return additions_of(phase.added, start, seed=seed, find=find, snapshots=folder)


def _target(scope: ScopePenalty, cell: Cell, job: Job) -> Target:
    layers = scope.layers
    match scope.target.kind:
        case "file":
            return scope_of(str(scope.target.path), layers)
        case "init":
            return scope_of(cell.network(derived(job.pool, "start")), layers)
        case _:
            return fuse_scopes([scope_of(one, layers) for one in job.before], scope.variance)


def score_on(cell: Cell) -> Callable[[nn.Module], dict[str, Any]]:
    """What a file says of its network's score."""

    def score(network: nn.Module) -> dict[str, Any]:
        metric, value = selection_score(network, cell.splits)
        return {"selection_metric": metric, "selection_score": value}

    return score


def selection_score(network: nn.Module, splits: Splits) -> tuple[str, float]:
    """Accuracy on the selection split, or mean AUROC where a sample may have several classes."""
    metric = choose_metric(None, [splits])
    assert metric.value is not None
    return metric.name, metric.value(predict(network, splits.selection))


def state_of(network: nn.Module) -> Mapping[str, Tensor]:
    """All of it."""
    return network.state_dict()


def take_weights(network: nn.Module, path: str, cell: Cell, *, head: str) -> None:
    """Put given weights into a network, or all but a head that stays as it is."""
    if head == "new":
        load_body(headed(network, cell.splits.train.batch(slice(HEAD_BATCH))), Path(path))
    else:
        load_weights(network, Path(path))


def plan_of(job: Job, facts: Mapping[str, Any], parent: Mapping[str, str]) -> dict[str, Any]:
    """What the network is made of, in plain values; `facts` are of its data."""
    resolved = job.experiment.resolved()
    return {
        "name": job.name,
        "network": resolved["network"],
        **facts,
        "split": job.experiment.split_of(job.pool),
        "seed": job.experiment.seed,
        "pool": job.pool,
        "share": job.experiment.ingredients.share,
        "parent": dict(parent),
        **{one.name: one.as_dict() for one in job.phases},
        "device": torch.device(job.device).type,
        "torch": str(torch.__version__),
    }


def _start(job: Job, cell: Cell) -> tuple[nn.Module, dict[str, str]]:
    """Where training begins, and what a reader should know of it."""
    network = cell.network(start_seed(job.experiment, job.pool, job.index))
    origin, weights = "random weights", job.experiment.ingredients.weights
    if job.before:
        assert isinstance(job.index, int)
        mine = job.before[job.index]
        origin = mine.relative_to(job.folder).as_posix()
        load_weights(network, mine)
    elif job.from_base:
        origin = job.base.name
        load_weights(network, job.base)
    elif weights:
        origin = weights.path
        take_weights(network, weights.path, cell, head=weights.head)
    return network, {"from": origin, "digest": state_digest(network.state_dict())}
