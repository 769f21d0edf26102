"""The networks of a study that runs them: an experiment, trained first where it is not."""

from dataclasses import dataclass
from pathlib import Path

from ..errors import CheckpointError, FieldError
from ..experiments.experiment import Experiment, parse_experiment, read_experiment
from ..training.fitting.devices import Device
from ..training.jobs.folder import LISTING, read_finished
from ..training.jobs.pools import Pool, train_experiment
from ..values.result import Progress

RUN = "run"
"""Where in a study's folder an experiment is trained."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TrainedPools:
    """An experiment and its pools, all trained.

    Attributes:
        experiment: as it was asked for, with its defaults.
        run: its folder.
        pools: of every cell of its sweep, and of every seed.
    """

    experiment: Experiment
    run: Path
    pools: tuple[Pool, ...]


def open_pools(
    source: str | Path,
    out: str | Path,
    *,
    jobs: int | None = 1,
    device: Device = "auto",
    progress: Progress | None = None,
) -> TrainedPools:
    """The pools of a run that is there, or of an experiment, which is trained in OUT/run.

    Training goes on where it was broken off. Experiments on several tasks are refused: networks of
    one pool must be of one kind.

    Args:
        source: a run's folder, or an experiment's YAML.
        out: folder of the study.
        jobs: networks trained at once; as many as cores where it is None and pays.
        device: of the training.
        progress: called while networks are trained.

    Raises:
        CheckpointError: the folder is no finished run.
        FieldError: the experiment is wrong, or has tasks.
        StockpotError: whatever training finds.
    """
    source = Path(source)
    if source.is_dir():
        experiment, run = _of_run(source), source
    else:
        experiment, run = read_experiment(source), Path(out) / RUN
    if experiment.tasks:
        raise FieldError(f"{source} has tasks; this study is of networks for the same data.")
    pools = train_experiment(experiment, run, jobs=jobs, device=device, progress=progress)
    return TrainedPools(experiment=experiment, run=run, pools=tuple(pools))


def _of_run(run: Path) -> Experiment:
    listing = run / LISTING
    if not listing.is_file():
        raise CheckpointError(f"{run} is no run of an experiment: it has no {LISTING}.")
    return parse_experiment(read_finished(run).experiment)
