"""One network of an experiment: a value that any process can carry out, with the same bytes."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ...experiments.experiment import Experiment
from .phases import JOINT, Phase, Which, phases

BASE = "base"


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One network that is to be made.

    Attributes:
        experiment: of its cell.
        cell: the cell's name; '' without a sweep.
        pool: the seed of its pool.
        index: which ingredient it is; None for the start that all of the pool share; or the network
            that is trained on all tasks.
        out: the folder of the run.
        device: where it is trained.
        stage: of an ingredient's training, from 1.
    """

    experiment: Experiment
    cell: str
    pool: int
    index: Which
    out: Path
    device: str
    stage: int = 1

    @property
    def name(self) -> str:
        """What tables and its file call it."""
        if self.index is None:
            return BASE
        if self.index == JOINT:
            return JOINT
        tasks = self.experiment.tasks
        return tasks[self.index].name if tasks else f"ingredient-{self.index:02d}"

    @property
    def title(self) -> str:
        """What progress calls it."""
        return " ".join(filter(None, (self.cell, f"pool {self.pool}", self.name, self._early)))

    @property
    def folder(self) -> Path:
        """Of its pool."""
        return self.out / self.cell / f"pool-{self.pool}"

    @property
    def path(self) -> Path:
        """Its file."""
        return self.folder / self._early / f"{self.name}.safetensors"

    @property
    def _early(self) -> str:
        """Of a stage that is not the last; else nothing."""
        staged = isinstance(self.index, int) and self.stage < self.experiment.ingredients.stages
        return f"stage-{self.stage}" if staged else ""

    @property
    def before(self) -> tuple[Path, ...]:
        """What the whole pool came to in the stage before; nothing in the first."""
        if self.stage == 1:
            return ()
        members = range(self.experiment.members)
        return tuple(replace(self, index=one, stage=self.stage - 1).path for one in members)

    @property
    def base(self) -> Path:
        """The file of the start that its pool shares."""
        return self.folder / f"{BASE}.safetensors"

    @property
    def from_base(self) -> bool:
        """Whether it starts from that."""
        shares = self.experiment.ingredients.share != "none" and self.stage == 1
        return self.index == JOINT or (self.index is not None and shares)

    @property
    def previous(self) -> Path | None:
        """The file of the task before it, where it goes on from the body in there."""
        tasks, made = self.experiment.tasks, self.experiment.ingredients
        if made.start == "shared" or self.index is None or self.index == JOINT or not self.index:
            return None
        return self.folder / f"{tasks[self.index - 1].name}.safetensors"

    @property
    def is_ready(self) -> bool:
        """Whether what it is made from is there."""
        needed = (*self.before, *((self.base,) if self.from_base else ()), self.previous)
        return all(one.exists() for one in needed if one)

    @property
    def phases(self) -> tuple[Phase, ...]:
        """Of its training, in order."""
        return phases(self.experiment, self.pool, self.index, self.stage)

    @property
    def epochs(self) -> int:
        """Of all its phases."""
        return sum(one.how.epochs for one in self.phases)

    @property
    def effort(self) -> int:
        """How long it takes beside others of the run."""
        all_tasks = self.experiment.tasks and self.index in (None, JOINT)
        return self.epochs * (len(self.experiment.tasks) if all_tasks else 1)

    def saved(self, phase: str) -> Path:
        """Where the last finished epoch of a phase is kept."""
        words = filter(None, (self.cell, f"pool-{self.pool}", self.name, self._early, phase))
        return self.out / "work" / f"{'.'.join(words)}.pt"

    def snapshots(self, phase: str) -> Path:
        """A folder for checkpoints along the way of a phase."""
        words = filter(None, (self.name, self._early, "" if phase == "train" else phase))
        return self.folder / "snapshots" / ".".join(words)


@dataclass(frozen=True, slots=True)
class FinishedJob:
    """A finished network: its file, and what the file says of it."""

    job: Job
    record: Mapping[str, Any]
