"""Training what an experiment asks for: every pool of every cell, resumable at any moment."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from torch import nn

from ...data import Splits
from ...experiments.cells import Spec
from ...experiments.experiment import Experiment
from ...networks import load_weights
from ...values.result import Progress
from ..fitting.devices import Device, pick_device
from .cell import Cell, open_cell
from .folder import list_pools, run_folder
from .job import BASE, FinishedJob, Job
from .phases import JOINT, Which
from .tasks import open_tasks
from .workers import carry_out


@dataclass(frozen=True, slots=True, eq=False)
class Trained:
    """An ingredient in its file.

    Attributes:
        name: in tables.
        path: the file.
        selection_score: on the selection split.
        selection_metric: what that is: accuracy, or auroc.
        splits: what it was trained, and is judged, on.
        build: a new network of its kind.
    """

    name: str
    path: Path
    selection_score: float
    selection_metric: str
    splits: Splits
    build: Callable[[], nn.Module]

    @property
    def network(self) -> nn.Module:
        """The network in evaluation mode, read from the file each time it is asked for."""
        return load_weights(self.build(), self.path)


@dataclass(frozen=True, slots=True, eq=False)
class Pool:
    """Ingredients that may be merged, all of one cell and one seed.

    Attributes:
        seed: the pool's.
        cell: the cell of the sweep; '' without one.
        network_spec: what the experiment calls the network.
        data: what it calls the data; None with tasks.
        kept: the ingredients; with tasks one for each, of its name.
        base: file of the start that they share, or None where they share none.
        joint: file of the network that was trained on all tasks, or None without tasks.
    """

    seed: int
    cell: str
    network_spec: Spec
    data: Spec | None
    kept: Sequence[Trained]
    base: Path | None
    joint: Path | None

    @property
    def splits(self) -> Splits:
        """Train, selection and test of the first ingredient: of all of them, without tasks."""
        return self.kept[0].splits

    @property
    def build(self) -> Callable[[], nn.Module]:
        """A new network of the first ingredient's kind, in evaluation mode."""
        return self.kept[0].build


def train_experiment(
    experiment: Experiment,
    out: Path,
    *,
    jobs: int | None = 1,
    device: Device = "auto",
    progress: Progress | None = None,
) -> list[Pool]:
    """Train every pool of every cell into `out`, or go on where an earlier run ended.

    Writes OUT/[CELL/]pool-SEED/ with base.safetensors (where ingredients share a start) and
    ingredient-NN.safetensors (with tasks: TASK.safetensors and joint.safetensors), each with its
    configuration and score in its metadata entry `stockpot.ingredient`; and OUT/experiment.json.
    What is unfinished is in OUT/work. The same experiment gives the same bytes on one machine's
    CPU, with any number of jobs, broken off or not.

    Args:
        experiment: what to train.
        out: folder of the run.
        jobs: networks trained at once, each in a process of its own on one thread; None for one
            per core as soon as that is worth it. With more than 1, a script needs
            `if __name__ == "__main__":`.
        device: auto is a GPU where there is one.
        progress: called as epochs are finished.

    Raises:
        OutputError: `out` is in use, holds another experiment, or cannot be written.
        StockpotError: whatever data, networks and training find.
    """
    place = pick_device(device)
    cells = dict(experiment.cells())
    planned = _jobs(cells, experiment, out, place)
    for one in cells.values():
        _open(one, one.seed)  # what is wrong with any is said before the first is trained
    with run_folder(out, experiment):
        made = carry_out(planned, jobs, _Share(planned, progress).tell)
        pools = _pools(cells, made, experiment)
        list_pools(out, experiment, [_listed(pool, made, out) for pool in pools], complete=True)
    return pools


def _jobs(cells: dict[str, Experiment], whole: Experiment, out: Path, device: str) -> list[Job]:
    """Of each pool the start that is shared, if one is, and then the ingredients.

    With tasks there always is one, for the joint network, which takes longest and comes next where
    anything is trained.
    """
    indices: list[Which] = list(range(whole.members))
    if whole.tasks:
        indices[:0] = [None, JOINT] if whole.trains_tasks else [None]
    elif whole.ingredients.share != "none":
        indices.insert(0, None)
    order: list[tuple[Which, int]] = [(index, 1) for index in indices]
    for stage in range(2, whole.ingredients.stages + 1):
        order += [(index, stage) for index in range(whole.members)]
    return [
        Job(experiment=one, cell=name, pool=seed, index=index, out=out, device=device, stage=stage)
        for name, one in cells.items()
        for seed in whole.seeds
        for index, stage in order
    ]


class _Share:
    """How much of all the work is done, from how much of each job is."""

    def __init__(self, jobs: Sequence[Job], progress: Progress | None) -> None:
        self._jobs, self._progress = jobs, progress
        self._epochs = [job.effort for job in jobs]
        self._done = [0.0] * len(jobs)

    def tell(self, number: int, part: float) -> None:
        """One job has got so far."""
        self._done[number] = part * self._epochs[number]
        if self._progress:
            done = min(1.0, sum(self._done) / max(sum(self._epochs), 1))
            self._progress(f"training {self._jobs[number].title}", done)


def _open(experiment: Experiment, pool: int) -> list[Cell]:
    """What each member of a pool is trained on, in their order; a network of each was opened."""
    if not experiment.tasks:
        cell = open_cell(experiment, pool)
        cell.network(0)
        return [cell] * experiment.members
    tasks = open_tasks(experiment)
    tasks.together({task: cell.network(0) for task, cell in tasks.cells.items()})
    return list(tasks.cells.values())


def _pools(
    cells: dict[str, Experiment], made: Sequence[FinishedJob], whole: Experiment
) -> list[Pool]:
    pools: list[Pool] = []
    for name, one in cells.items():
        opened = _open(one, one.seed)
        for seed in whole.seeds:
            if one.split.draw == "per-pool":
                opened = _open(one, seed)
            mine = [job for job in made if (job.job.cell, job.job.pool) == (name, seed)]
            pools.append(_pool(name, opened, seed, mine))
    return pools


def _pool(name: str, cells: Sequence[Cell], seed: int, made: Sequence[FinishedJob]) -> Pool:
    paths = {one.job.name: one.job.path for one in made}
    experiment = made[0].job.experiment
    last = experiment.ingredients.stages
    ingredients = [one for one in made if isinstance(one.job.index, int) and one.job.stage == last]
    return Pool(
        seed=seed,
        cell=name,
        network_spec=experiment.network,
        data=experiment.data,
        kept=[
            Trained(
                one.job.name,
                one.job.path,
                one.record["selection_score"],
                one.record["selection_metric"],
                cell.splits,
                partial(cell.network, 0),  # the seed of weights that are replaced
            )
            for one, cell in zip(ingredients, cells, strict=True)
        ],
        base=paths.get(BASE),
        joint=paths.get(JOINT),
    )


def _listed(pool: Pool, made: Sequence[FinishedJob], out: Path) -> dict[str, Any]:
    """A pool as experiment.json has it."""
    records = {one.job.path: one.record for one in made}
    return {
        "cell": pool.cell,
        "seed": pool.seed,
        "base": pool.base.relative_to(out).as_posix() if pool.base else None,
        **({"joint": pool.joint.relative_to(out).as_posix()} if pool.joint else {}),
        "ingredients": [
            {"path": one.path.relative_to(out).as_posix(), **records[one.path]} for one in pool.kept
        ],
    }
