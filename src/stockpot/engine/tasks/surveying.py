"""Tasks that survey: what is known of some pieces, or of a sample, joined to one value."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial, reduce

from ...core import SEGMENT, Facts, Method, Settled
from ...recipes.resolving.assignment import Assignment
from ..pieces import Piece, Survey
from .desk import RUN, UNSAMPLED, Desk, Setting

RUNS = 2**12
"""A sample is about this many runs, however large the model: a few MiB and 2% of bracket."""
SPACING = 2**13
"""Fewer where they would lie closer than this many elements: each is a read of its own."""
BATCH = SEGMENT // RUN
"""Runs sampled at a time; every arena holds as many of a tensor, or all of it."""


@dataclass(frozen=True, slots=True)
class SurveyTask:
    """Pieces to be surveyed, with what the last round settled."""

    method: Method
    pieces: tuple[Piece, ...]
    hint: Settled | None


@dataclass(frozen=True, slots=True)
class SampleTask:
    """Of some tensors where the runs start that are sampled."""

    method: Method
    runs: tuple[tuple[Assignment, range], ...]


@dataclass(frozen=True, slots=True)
class Surveyed:
    """What a task found, and the bytes that were read for it, but for samples."""

    facts: Facts
    bytes_read: int


@dataclass(frozen=True, slots=True)
class Surveying:
    """Begins a worker that surveys."""

    setting: Setting

    def __call__(self) -> Callable[[SurveyTask | SampleTask], Iterator[Surveyed]]:
        """A worker with a desk of its own."""
        return partial(_surveyed, Desk(self.setting))


def _surveyed(desk: Desk, task: SurveyTask | SampleTask) -> Iterator[Surveyed]:
    if isinstance(task, SampleTask):
        yield Surveyed(_joined(_of_sample(desk, task)), 0)
        return
    yield Surveyed(_joined(_of_pieces(desk, task)), sum(p.read_bytes for p in task.pieces))


def _of_sample(desk: Desk, task: SampleTask) -> Iterator[Facts]:
    for assignment, starts in task.runs:
        rows = desk.sample(assignment, starts)
        yield desk.sampled_facts(assignment, task.method, rows, len(starts))


def _of_pieces(desk: Desk, task: SurveyTask) -> Iterator[Facts]:
    for piece in task.pieces:
        rows, _ = desk.load([piece])
        yield desk.facts(piece, task.method, rows, task.hint)


def _joined(facts: Iterator[Facts]) -> Facts:
    return reduce(lambda one, other: one.join(other), facts)


def sample_of(survey: Survey) -> Sequence[SampleTask]:
    """Batches of evenly spaced runs; none where the survey is small or its tensors are tiny."""
    if survey.numel <= UNSAMPLED:
        return []
    stride = max(survey.numel // RUNS, SPACING)
    batches, filled, position = list[list[tuple[Assignment, range]]](), BATCH, 0
    for a in survey.assignments:
        numel = math.prod(a.shape)
        starts = range(-position % stride, numel - RUN + 1, stride)
        position += numel
        for i in range(0, len(starts), BATCH):
            part = starts[i : i + BATCH]
            if filled >= BATCH:
                batches.append([])
                filled = 0
            batches[-1].append((a, part))
            filled += len(part)
    return [SampleTask(survey.method, tuple(batch)) for batch in batches]
