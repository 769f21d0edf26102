"""How long a merge will take, from running a little of it into nowhere."""

import os
import time
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryFile

from ..checkpoints.writing.journal import Record
from .driver import Run
from .pieces import Survey, Task
from .plan import Plan
from .prepare import Prepared
from .tasks.devices import device_for

_ENOUGH = 2**26
_WRITTEN = 2**24


class _Nowhere:
    """Takes bytes and forgets them."""

    def write(self, name: str, offset: int, data: memoryview) -> None:
        """Forget."""


class _NullSink:
    """Keeps nothing."""

    def __init__(self) -> None:
        self.done: Mapping[str, Record] = {}
        self.target = _Nowhere()

    def take(self, name: str, offset: int, kept: object) -> None:
        """Forget."""

    def read(self, name: str, offset: int, buffer: memoryview) -> None:
        """Nothing is derived from what was forgotten."""
        raise AssertionError(f"{len(buffer)} bytes of '{name}' from {offset} on are not there")

    def finish(self, records: Iterable[Record]) -> None:
        """Forget."""


def predict_seconds(prepared: Prepared, out: Path) -> float:
    """Seconds that the merge will take, scaled from about 64 MiB of it and a short write.

    Reads, computes and hashes a few tasks spread over the plan; writes and deletes 16 MiB in the
    output's file system where that allows nameless files. Good to a factor of two on a quiet
    machine; the first read of a cold disk is slower than the page cache that it may find.
    """
    plan = _sample(prepared.plan)
    began = time.perf_counter()
    Run(
        plan,
        _NullSink(),
        seed=prepared.recipe.seed,
        digests=prepared.options.digest != "none",
        device=device_for(prepared.options.torch_device),
        allow_non_finite=True,
    ).execute()
    seconds = time.perf_counter() - began
    whole = prepared.plan.bytes_read + prepared.plan.bytes_written
    return seconds * whole / max(plan.bytes_read + plan.bytes_written, 1) + _writing(prepared, out)


def _sample(plan: Plan) -> Plan:
    step = max(len(plan.tasks) // 8, 1)
    chosen: list[Task] = []
    moved = 0
    for task in plan.tasks[::step]:
        pieces = tuple(p for p in task.pieces if p.start == 0)
        if pieces:
            chosen.append(Task(pieces, task.packed))
            moved += sum(p.read_bytes + p.written_bytes for p in pieces)
        if moved >= _ENOUGH:
            break
    names = {p.assignment.name for t in chosen for p in t.pieces}
    surveys: list[Survey] = []
    for survey in plan.surveys:
        kept = tuple(a for a in survey.assignments if a.name in names)
        first = [
            p for t in survey.tasks for p in t.pieces if p.assignment.name in names and p.start == 0
        ]
        if kept:
            surveys.append(Survey(survey.method, kept, tuple(Task((p,)) for p in first)))
    every = [p for t in chosen for p in t.pieces]
    surveyed = [p for s in surveys for t in s.tasks for p in t.pieces]
    return replace(
        plan,
        tasks=tuple(chosen),
        surveys=tuple(surveys),
        derived=(),
        bytes_read=sum(p.read_bytes for p in [*every, *surveyed]),
        bytes_written=sum(p.written_bytes for p in every),
    )


def _writing(prepared: Prepared, out: Path) -> float:
    parent = next(p for p in (out.parent, *out.parent.parents) if p.exists())
    try:
        with TemporaryFile(dir=parent, buffering=0) as file:
            began = time.perf_counter()
            file.write(bytes(_WRITTEN))
            os.fsync(file.fileno())
            return (time.perf_counter() - began) * prepared.size / _WRITTEN
    except OSError:
        return 0.0
