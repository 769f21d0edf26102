"""A job carried out: the network made from its start, scored, and kept in a file of its own."""

import json
from collections.abc import Mapping
from typing import Any, cast

from ...checkpoints.read import read_checkpoint
from ...data import INGREDIENT
from ...errors import OutputError
from ...experiments.additions import as_written_now
from ...networks import save_state
from ...values.differences import first_differences
from ...values.result import Progress
from ..fitting.saves import Save
from .job import FinishedJob, Job
from .preparation import work_of
from .task_preparation import task_work_of

_MACHINE = ("selection_metric", "selection_score", "selection_scores", "torch", "device")


def make(job: Job, progress: Progress | None = None) -> FinishedJob:
    """Carry out a job; a file that is finished is only checked, never made again.

    Raises:
        OutputError: what stands at the job's path, or is kept of its epochs, is something else.
        StockpotError: whatever opening or training finds.
    """
    work = task_work_of(job) if job.experiment.tasks else work_of(job)
    if job.path.exists():
        return FinishedJob(job, _finished(job, work.plan))
    network, saves = work.start, list[Save]()
    total, before = job.epochs, 0
    for phase in job.phases:

        def tell(
            what: str, part: float, done: int = before, epochs: int = phase.how.epochs
        ) -> None:
            if progress:
                progress(what, (done + part * epochs) / total)

        save = Save(job.saved(phase.name), work.plan)
        network = work.learn(network, phase, save, tell)
        saves.append(save)
        before += phase.how.epochs
    record = {**work.plan, **work.score(network)}
    job.path.parent.mkdir(parents=True, exist_ok=True)
    save_state(work.tensors(network), job.path, {INGREDIENT: json.dumps(record)})
    for save in saves:
        save.remove()
    return FinishedJob(job, record)


def _finished(job: Job, plan: Mapping[str, Any]) -> dict[str, Any]:
    """What the file at the job's path says of itself, if it is what the job would make."""
    text = read_checkpoint(job.path).metadata.get(INGREDIENT)
    if text is None:
        raise OutputError(f"{job.path} is in the way: it is no ingredient of this experiment.")
    record = cast(dict[str, Any], json.loads(text))
    told = as_written_now(record)
    there = {key: value for key, value in told.items() if key not in _MACHINE}
    wanted = {key: value for key, value in plan.items() if key not in _MACHINE}
    if there != wanted:
        raise OutputError(
            f"{job.path} was made otherwise: {first_differences(there, wanted)}. Use another --out."
        )
    return record
