"""What each network of a pool is trained by: its seeds, and what varies, worked out from the file.

Every seed is a hash of the pool's seed and of what it is for, so that adding a key or an ingredient
changes no other draw.
"""

import random
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

from ...data import Skew, Transform
from ...data.changes.augment import Augment
from ...experiments.additions import Additions
from ...experiments.experiment import Experiment
from ...experiments.fit import Fit
from ...experiments.schooling import DataPart, Schooling
from ...networks.reproducible import derived
from .domains import Domains

JOINT = "joint"
"""The network that is trained on all tasks at once."""

Which = int | Literal["joint"] | None
"""An ingredient; the joint network of tasks; or the start that all of a pool share."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Phase:
    """One stretch of training.

    Attributes:
        name: pretrain or train.
        how: optimiser, schedule, length and seeds.
        augment: random changes to each batch of images, or None.
        task: the view of the training data that it sees; None for the data as they are.
        added: penalties, in-model merging and averages, or None.
    """

    name: str
    how: Fit
    augment: Augment | None
    task: Transform | None
    added: Additions | None

    def as_dict(self) -> dict[str, Any]:
        """In plain values, as a file has it."""
        return {
            "how": self.how.plain(),
            "augment": asdict(self.augment) if self.augment else None,
            "task": repr(self.task) if self.task else "as they are",
            **({"additions": self.added.plain()} if self.added else {}),
        }


def phases(experiment: Experiment, pool: int, index: Which, stage: int = 1) -> tuple[Phase, ...]:
    """The phases of one network in one stage, in order.

    Args:
        experiment: of one cell.
        pool: the pool's seed.
        index: which ingredient, or other network of the pool.
        stage: of an ingredient's training, from 1.
    """
    made = experiment.ingredients
    if index is None:
        first = experiment.pretraining
        return (_phase("pretrain", first, derived(pool, "pretrain")),) if first else ()
    if experiment.tasks:
        given = index != JOINT and experiment.tasks[index].weights
        return () if given else (_task_phase(experiment, pool, index),)
    assert index != JOINT
    own: list[Phase] = []
    if made.share == "none" and made.pretrain and stage == 1:
        own.append(_phase("pretrain", made.pretrain, derived(pool, "pretrain", index)))
    vary = made.vary
    changes = {name: _picked(experiment, pool, name, index) for name in vary.lists}
    later = ("stage", stage) if stage > 1 else ()
    seed = derived(pool, "train", index if vary.seed else "all", *later)
    order = derived(pool, "order", index if vary.orders else "all", *later)
    if stage == 1 and made.scope and made.scope.target.kind == "fused":
        changes["scope"] = None
    return (*own, _phase("train", replace(made, **changes), seed, order))


def passes(experiment: Experiment, index: Which) -> dict[str, int]:
    """How often each task's data are gone through where they are trained on together."""
    first = experiment.pretraining
    common = first.epochs if index is None and first else experiment.ingredients.epochs
    own = {task.name: None if index is None else task.epochs for task in experiment.tasks}
    return {name: epochs or common for name, epochs in own.items()}


def _task_phase(experiment: Experiment, pool: int, index: int | Literal["joint"]) -> Phase:
    """Seeds are of a task's name, so that the order of tasks changes no draw."""
    times = passes(experiment, index)
    name = JOINT if index == JOINT else experiment.tasks[index].name
    epochs = max(times.values()) if index == JOINT else times[name]
    seeds = derived(pool, "train", name), derived(pool, "order", name)
    return _phase("train", replace(experiment.ingredients, epochs=epochs), *seeds)


def start_seed(experiment: Experiment, pool: int, index: Which) -> int:
    """Of a network's random weights: one for all, or one for each where they share nothing."""
    if experiment.ingredients.share == "none":
        return derived(pool, "start", str(index))
    return derived(pool, "start")


def _picked(experiment: Experiment, pool: int, name: str, index: int) -> object:
    vary = experiment.ingredients.vary
    values = vary.lists[name]
    if vary.pick == "cycle":
        return values[index % len(values)]
    return random.Random(derived(pool, "draw", name, index)).choice(values)


def _phase(name: str, schooling: Schooling, seed: int, order: int | None = None) -> Phase:
    augment = schooling.augment
    return Phase(
        name=name,
        how=schooling.seeded(seed, seed if order is None else order),
        augment=augment,
        task=_task(schooling.part, seed) if schooling.part else None,
        added=schooling.added,
    )


def _task(part: DataPart, seed: int) -> Transform:
    if part.classes:
        return Skew(classes=part.classes, keep=part.keep, seed=seed)
    return Domains(names=part.domains, keep=part.keep, seed=seed)
