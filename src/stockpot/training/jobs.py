"""One network of an experiment: made from its start, scored, and kept in a file of its own.

A job is a value that any process can carry out, with the same bytes as its result.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
from torch import nn

from ..checkpoints.read import read_checkpoint
from ..errors import OutputError
from ..evaluation import find_metric, predict
from ..networks import headed, load_body, load_weights, save_weights
from ..recipes.experiment import Experiment
from .cell import Cell, open_cell, state_digest
from .differences import first_differences
from .fitting import Progress, fit
from .phases import phases, start_seed
from .saves import Save

METADATA = "stockpot.ingredient"
BASE = "base"
HEAD_BATCH = 4
"""Samples on which the head of a network is found."""
_MACHINE = ("selection_metric", "selection_score", "torch", "device")


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One network that is to be made.

    Attributes:
        experiment: of its cell.
        cell: the cell's name; '' without a sweep.
        pool: the seed of its pool.
        index: which ingredient it is; None for the start that all of the pool share.
        out: the folder of the run.
        device: where it is trained.
    """

    experiment: Experiment
    cell: str
    pool: int
    index: int | None
    out: Path
    device: str

    @property
    def name(self) -> str:
        """What tables and its file call it."""
        return BASE if self.index is None else f"ingredient-{self.index:02d}"

    @property
    def title(self) -> str:
        """What progress calls it."""
        return " ".join(filter(None, (self.cell, f"pool {self.pool}", self.name)))

    @property
    def folder(self) -> Path:
        """Of its pool."""
        return self.out / self.cell / f"pool-{self.pool}"

    @property
    def path(self) -> Path:
        """Its file."""
        return self.folder / f"{self.name}.safetensors"

    @property
    def is_ready(self) -> bool:
        """Whether the start that it is made from is there."""
        shares = self.index is not None and self.experiment.ingredients.share != "none"
        return not shares or (self.folder / f"{BASE}.safetensors").exists()

    @property
    def epochs(self) -> int:
        """Of all its phases."""
        return sum(one.how.epochs for one in phases(self.experiment, self.pool, self.index))

    def saved(self, phase: str) -> Path:
        """Where the last finished epoch of a phase is kept."""
        words = filter(None, (self.cell, f"pool-{self.pool}", self.name, phase))
        return self.out / "work" / f"{'.'.join(words)}.pt"


@dataclass(frozen=True, slots=True)
class Made:
    """A finished network: its file, and what the file says of it."""

    job: Job
    record: Mapping[str, Any]


def make(job: Job, progress: Progress | None = None) -> Made:
    """Carry out a job; a file that is finished is only checked, never made again.

    Raises:
        OutputError: what stands at the job's path, or is kept of its epochs, is something else.
        StockpotError: whatever opening or training finds.
    """
    cell = open_cell(job.experiment)
    start, parent = _start(job, cell)
    plan = _plan(job, cell, parent)
    if job.path.exists():
        return Made(job, _finished(job, plan))
    network, saves = start, list[Save]()
    total, before = job.epochs, 0
    for phase in phases(job.experiment, job.pool, job.index):

        def tell(part: float, done: int = before, epochs: int = phase.how.epochs) -> None:
            if progress:
                progress((done + part * epochs) / total)

        train = cell.splits.train
        save = Save(job.saved(phase.name), plan)
        network = fit(
            network,
            phase.task(train) if phase.task else train,
            phase.how,
            augment=phase.augment,
            device=job.device,
            save=save,
            progress=tell,
        )
        saves.append(save)
        before += phase.how.epochs
    record = plan | _score(network, cell)
    job.folder.mkdir(parents=True, exist_ok=True)
    save_weights(network, job.path, {METADATA: json.dumps(record)})
    for save in saves:
        save.remove()
    return Made(job, record)


def _start(job: Job, cell: Cell) -> tuple[nn.Module, dict[str, str]]:
    """Where training begins, and what a reader should know of it."""
    network = cell.network(start_seed(job.experiment, job.pool, job.index))
    origin = "random weights"
    share, weights = job.experiment.ingredients.share, job.experiment.ingredients.weights
    if job.index is not None and share != "none":
        origin = f"{BASE}.safetensors"
        load_weights(network, job.folder / origin)
    elif weights:
        origin = weights.path
        inputs = cell.splits.train.batch(slice(HEAD_BATCH))
        if weights.head == "new":
            load_body(headed(network, inputs), Path(weights.path))
        else:
            load_weights(network, Path(weights.path))
    return network, {"from": origin, "digest": state_digest(network)}


def _plan(job: Job, cell: Cell, parent: Mapping[str, str]) -> dict[str, Any]:
    """What the network is made of, in plain values."""
    resolved = job.experiment.resolved()
    return {
        "name": job.name,
        "network": resolved["network"],
        "data": resolved["data"],
        "data_digest": cell.digest,
        "split": resolved["split"],
        "seed": job.experiment.seed,
        "pool": job.pool,
        "share": job.experiment.ingredients.share,
        "parent": dict(parent),
        **{one.name: one.as_dict() for one in phases(job.experiment, job.pool, job.index)},
        "device": torch.device(job.device).type,
        "torch": str(torch.__version__),
    }


def _score(network: nn.Module, cell: Cell) -> dict[str, object]:
    selection = cell.splits.selection
    metric = find_metric("auroc" if selection.is_multilabel else "accuracy")
    assert metric.value is not None
    score = metric.value(predict(network, selection))
    return {"selection_metric": metric.name, "selection_score": score}


def _finished(job: Job, plan: Mapping[str, Any]) -> dict[str, Any]:
    """What the file at the job's path says of itself, if it is what the job would make."""
    text = read_checkpoint(job.path).metadata.get(METADATA)
    if text is None:
        raise OutputError(f"{job.path} is in the way: it is no ingredient of this experiment.")
    record = cast(dict[str, Any], json.loads(text))
    there = {key: value for key, value in record.items() if key not in _MACHINE}
    wanted = {key: value for key, value in plan.items() if key not in _MACHINE}
    if there != wanted:
        raise OutputError(
            f"{job.path} was made otherwise: {first_differences(there, wanted)}. Use another --out."
        )
    return record
