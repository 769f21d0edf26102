"""The tasks of an experiment, opened: their data side by side, and networks with one body."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

from torch import nn

from ...data import (
    Channels,
    Dataset,
    Invert,
    OnlyClasses,
    Resize,
    Rotate,
    Shift,
    Splits,
    Transform,
    digest_of,
    fewer,
    load,
    split,
)
from ...errors import StockpotError
from ...experiments.experiment import Experiment
from ...experiments.tasks import TaskSpec
from ...networks import Headed, MultiTask, headed, private_names
from ...networks.sources.opening import NetworkSpec
from .cell import Cell, network_of

HEAD_BATCH = 4
"""Samples on which the head of a network is found."""


@dataclass(frozen=True, eq=False)
class Tasks:
    """A cell's tasks, each with its data at hand.

    Attributes:
        experiment: of the cell.
        cells: by the task's name, in the order of the file.
    """

    experiment: Experiment
    cells: Mapping[str, Cell]

    @cached_property
    def own(self) -> frozenset[str]:
        """Names of the tensors that stay each task's own."""
        cell = next(iter(self.cells.values()))
        return private_names(self.split(cell, cell.network(0)), self.experiment.ingredients.private)

    def split(self, cell: Cell, network: nn.Module) -> Headed:
        """The network of one task with its head found on a few training samples."""
        return headed(network, cell.splits.train.batch(slice(HEAD_BATCH)))

    def together(self, networks: Mapping[str, nn.Module]) -> MultiTask:
        """Networks of all tasks with the body of the first; heads are trained or frozen."""
        splits = [self.split(self.cells[task], one) for task, one in networks.items()]
        return MultiTask(networks, splits, self.own)

    def hold_heads(self, network: nn.Module, task: str) -> None:
        """Keep a head from being trained, where the experiment has them frozen."""
        if self.experiment.ingredients.heads == "frozen":
            self.split(self.cells[task], network).head.requires_grad_(False)


def open_tasks(experiment: Experiment) -> Tasks:
    """Read, split and view the data of each task; those of the last cell are kept in memory.

    Raises:
        StockpotError: as reading and splitting do, or where inputs of tasks differ in shape.
    """
    resolved = experiment.resolved()
    text = json.dumps([resolved["tasks"], resolved["split"], experiment.seed])
    cells = {
        task.name: Cell(_network_for(experiment, task), splits, digest)
        for task, (splits, digest) in zip(experiment.tasks, _opened(text), strict=True)
    }
    return Tasks(experiment, cells)


def task_record(experiment: Experiment, task: TaskSpec) -> dict[str, Any]:
    """What a file says of a task's data, in plain values."""
    listed: list[dict[str, Any]] = experiment.resolved()["tasks"]
    return {
        key: one for key, one in listed[experiment.tasks.index(task)].items() if one is not None
    }


def _network_for(experiment: Experiment, task: TaskSpec) -> NetworkSpec:
    """The experiment's network, with the task's head where it brings several."""
    network = network_of(experiment)
    if not task.head:
        return network
    named = {"name": network} if isinstance(network, str) else dict(network)
    return named | {"head": task.head}


@lru_cache(maxsize=1)
def _opened(text: str) -> tuple[tuple[Splits, str], ...]:
    listed, wanted, seed = json.loads(text)
    seed = seed if wanted["seed"] is None else wanted["seed"]
    tasks = [TaskSpec.parse(one) for one in listed]
    found = [_viewed(task, dict(wanted), seed) for task in tasks]
    shapes = {
        task.name: (tuple(one.train.inputs.shape[1:]), one.train.is_text)
        for task, one in zip(tasks, found, strict=True)
    }
    if len(set(shapes.values())) > 1:
        said = ", ".join(f"{name} {shape}" for name, (shape, _) in shapes.items())
        raise StockpotError(
            f"tasks: one body takes inputs of one shape; there are {said}. Give tasks `size` and "
            "`channels`."
        )
    return tuple((one, digest_of(one.train, one.selection)) for one in found)


def _viewed(task: TaskSpec, wanted: dict[str, Any], seed: int) -> Splits:
    """A task's parts: split, then fewer, then seen as the task has them."""
    own: dict[str, Any] = {"limit": task.limit, "fraction": None} if task.limit else {}
    own |= {"domains": [task.domain]} if task.domain else {}
    own["seed"] = seed
    whole = split(load(task.data), **(wanted | own))
    train, *judged = (_of_classes(task, one) for one in (whole.train, whole.selection, whole.test))
    parts = (train, *(_at_most(part, task.judge_limit, seed) for part in judged))
    return Splits(*(_seen(task, part) for part in parts), notes=whole.notes)


def _of_classes(task: TaskSpec, data: Dataset) -> Dataset:
    return OnlyClasses(classes=task.classes)(data) if task.classes else data


def _at_most(data: Dataset, limit: int | None, seed: int) -> Dataset:
    return fewer(data, limit, seed=seed) if limit and limit < len(data) else data


def _seen(task: TaskSpec, data: Dataset) -> Dataset:
    for view in _views(task):
        data = view(data)
    return data


def _views(task: TaskSpec) -> Iterator[Transform]:
    if task.size:
        yield Resize(size=task.size)
    if task.channels:
        yield Channels(count=task.channels)
    if task.rotate:
        yield Rotate(degrees=task.rotate)
    if task.shift.right or task.shift.down:
        yield Shift(right=task.shift.right, down=task.shift.down)
    if task.invert:
        yield Invert()
