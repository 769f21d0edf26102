"""An experiment from end to end: its pools trained, or found trained, and compared."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from torch import nn

from ...data import named_views
from ...evaluation.contests.bodies import TaskNetwork, TaskPool
from ...evaluation.contests.body_methods import SEQUENTIAL
from ...evaluation.contests.columns import WITHOUT_TRAINING
from ...evaluation.contests.compare import compare_pools
from ...evaluation.contests.cross_task import cross_task
from ...evaluation.contests.models import ingredients_of, reestimation
from ...evaluation.predictions.views import views_of
from ...evaluation.results.comparison import Comparison
from ...evaluation.results.sweeps import join
from ...evaluation.scores.custom import metric_called
from ...evaluation.scores.metrics import Metric
from ...experiments.cells import slug
from ...experiments.experiment import ACROSS_TASKS, Experiment
from ...experiments.fit import Fit
from ...networks import load_shared, load_task
from ...values.result import Progress
from ..fitting.devices import Device
from ..fitting.loop import distil
from .cell import open_cell
from .phases import phases
from .pools import Pool, train_experiment

_TRAINING = 0.8
"""Share of the progress that training takes."""


def compare_experiment(
    experiment: Experiment,
    out: Path,
    *,
    jobs: int | None = 1,
    device: Device = "auto",
    progress: Progress | None = None,
) -> Comparison:
    """Train what is not trained yet, and compare every cell of the sweep.

    Args:
        experiment: what is trained and compared.
        out: folder of the run, as `train_experiment` has it.
        jobs, device: of the training.
        progress: called with what is being done and the fraction of the whole that is behind.

    Raises:
        StockpotError: as `train_experiment` and `compare_pools`.
    """

    def tell(begin: float, end: float, what: str, part: float) -> None:
        if progress:
            progress(what, begin + (end - begin) * part)

    _refuse_views(experiment)
    named = experiment.compare.metric
    metric = metric_called(named) if named else None  # a wrong one is said before hours of training
    pools = train_experiment(
        experiment,
        out,
        jobs=jobs,
        device=device,
        progress=partial(tell, 0.0, _TRAINING),
    )
    cells = list(experiment.cells())
    found: list[Comparison] = []
    for number, (name, cell) in enumerate(cells):
        begin, end = (_TRAINING + (1 - _TRAINING) * (number + k) / len(cells) for k in (0, 1))
        mine = [pool for pool in pools if pool.cell == name]
        found.append(_compare_cell(cell, mine, metric, partial(tell, begin, end)))
    return join(found)


OWN_SPLITS = (
    "Each pool has a split of its own: intervals over pools cover the luck of the split too."
)


def _refuse_views(experiment: Experiment) -> None:
    """What is wrong with a view is said before anything is trained."""
    views = named_views(experiment.compare.view_texts)
    for _, cell in experiment.cells() if views else ():
        views_of(open_cell(cell, cell.seed).splits, views)


def _compare_cell(
    cell: Experiment, pools: Sequence[Pool], metric: Metric | None, progress: Progress
) -> Comparison:
    if cell.tasks:
        return _compare_tasks(cell, pools, metric, progress)
    wanted, first = cell.compare, pools[0]
    found = compare_pools(
        [
            ingredients_of(
                pool.seed,
                [one.name for one in pool.kept],
                [one.path for one in pool.kept],
                pool.splits,
                pool.build,
                base=pool.base,
            )
            for pool in pools
        ],
        counts=wanted.counts,
        subsets=wanted.subsets,
        methods=wanted.methods or WITHOUT_TRAINING,
        metric=metric,
        margin=wanted.margin,
        views=named_views(wanted.view_texts),
        seed=cell.seed,
        reestimate=reestimation(first.build()),
        distil=partial(distil, _last_fit(cell)),
        search=wanted.search,
        network=slug(cell.network),
        progress=progress,
    )
    return replace(found, origin=OWN_SPLITS) if cell.split.draw == "per-pool" else found


def _compare_tasks(
    cell: Experiment, pools: Sequence[Pool], metric: Metric | None, progress: Progress
) -> Comparison:
    wanted, done = cell.compare, -1
    in_turn = (SEQUENTIAL,) if cell.ingredients.start == "previous" else ()

    def each() -> Iterator[TaskPool]:
        """One pool in memory at a time."""
        nonlocal done
        for pool in pools:
            done += 1
            yield _task_pool(cell, pool)

    def tell(what: str, part: float) -> None:
        progress(what, (done + part) / len(pools))

    return cross_task(
        each(),
        counts=wanted.counts,
        methods=(*in_turn, *(wanted.methods or ACROSS_TASKS)),
        private=cell.ingredients.private,
        metric=metric,
        reestimate=reestimation(pools[0].build()),
        search=wanted.search,
        seed=cell.seed,
        network=slug(cell.network),
        facts=_training_facts(cell),
        progress=tell,
    )


def _task_pool(cell: Experiment, pool: Pool) -> TaskPool:
    """A pool's networks, read from their files."""

    def of_all(path: Path) -> dict[str, nn.Module]:
        return {one.name: load_task(one.build(), path, one.name) for one in pool.kept}

    assert pool.base
    joint = {"joint": of_all(pool.joint)} if pool.joint else {}
    start = {"base": of_all(pool.base)} if cell.knows_heads else {}
    shares = cell.ingredients.share != "none"
    return TaskPool(
        seed=pool.seed,
        tasks=[TaskNetwork(one.name, one.network, one.splits) for one in pool.kept],
        base=load_shared(pool.base) if shares else None,
        controls={**joint, **start},
    )


def _training_facts(cell: Experiment) -> list[tuple[str, str]]:
    made, first = cell.ingredients, cell.pretraining
    start = f"trained jointly for {first.epochs} epochs" if first else made.share
    start = f"{made.weights.path}, {start}" if made.weights else start
    joint = (
        "one network trained from the same start on all tasks, at every N; it takes as many "
        "steps as all tasks' own networks together"
    )
    given = {task.name: task.weights for task in cell.tasks if task.weights}
    if made.start == "previous":
        start += "; each task goes on from the body that the one before it has left"
    return [
        ("start", start),
        ("heads", made.heads),
        *([("joint", joint)] if cell.trains_tasks else []),
        *((f"{name}'s network", f"as given, {path}") for name, path in given.items()),
    ]


def _last_fit(cell: Experiment) -> Fit:
    """How the ingredients themselves were trained last."""
    return list(phases(cell, cell.seed, 0))[-1].how
