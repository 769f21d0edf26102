"""How a merge will run: slices that fit the memory, passes, bytes; made before a byte is read.

An assignment is cut into pieces, runs of elements that start at a multiple of SEGMENT. Pieces are
gathered into tasks, which workers take in file order. What must be known of a whole model, or of
a tensor too large for a worker's arena, is surveyed first; everything else happens while mapping.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from ..core import SEGMENT, Costs, Reach
from ..errors import MergeError
from ..recipes.resolving.assignment import Assignment, Assignments
from .books import books, too_much
from .cutting import BLOCK, surveys_of, tasks_of
from .pieces import (
    Room,
    Survey,
    Task,
    costs_of,
    element_bytes,
    elements_of,
    is_whole,
    room_of,
    streamed_bytes,
    tensor_bytes,
    width_of,
    working_bytes,
)

ARENA = 2**27
"""A worker's buffer is never larger than this, whatever memory there is."""
_TEMPORARIES = 8
"""Float32 blocks that a method and the casts around it hold at once, beyond one per model."""
_FACTS = 12
"""The facts of a survey take a twelfth of the memory, and as much again while they are joined."""
_PAIR = 1024
"""Bytes for each pair of models whose products are summed, while they are joined."""
SLACK = 40 * 2**20
"""A plan may exceed the memory by this much; beyond it is refused. What the libraries take when
they begin to work, which no plan knows, makes 64 MiB of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A merge that can run.

    Attributes:
        assignments: what each output tensor is made of.
        tasks: the maps and copies, in file order.
        surveys: what must be known before, each over its own tensors.
        derived: what is computed when everything else is written, one after the other.
        workers: threads.
        block: elements computed at a time.
        arena: bytes of each of a worker's buffers.
        facts: bytes that the joined facts of a survey may take.
        bytes_read, bytes_written: over all passes, without samples.
        peak_memory: bytes above the interpreter and its libraries, predicted.
    """

    assignments: Assignments
    tasks: tuple[Task, ...]
    surveys: tuple[Survey, ...]
    derived: tuple[Assignment, ...] = ()
    workers: int
    block: int
    arena: int
    facts: int
    bytes_read: int
    bytes_written: int
    peak_memory: int


def make_plan(assignments: Assignments, *, memory: int, workers: int, arenas: int = 1) -> Plan:
    """Cut a merge into tasks that keep within `memory` bytes.

    Args:
        assignments: what each output tensor is made of.
        memory: budget for buffers, in bytes.
        workers: at once, at most.
        arenas: buffers of each worker.

    Raises:
        MergeError: a whole-matrix method, a tensor that follows from another, or so many models or
            tensors, need more memory than there is.
    """
    tensors = [a for a in assignments.tensors if a.derivation is None]
    derived = tuple(a for a in assignments.tensors if a.derivation is not None)
    widest = max((len(a.entries) for a in tensors), default=1)
    needs = {m: m.needs for m in {a.method for a in tensors} if m is not None}
    row_bytes = max(map(_row_bytes, tensors), default=4)
    workers, block = _shape_of_work(memory, workers, row_bytes)
    working = max(map(working_bytes, tensors), default=0)
    wholes = [streamed_bytes(a) for a in tensors if is_whole(a)]
    workers = min(workers, max(memory // max([1, *wholes]), 1))
    facts = memory // _FACTS if any(n.sample for n in needs.values()) else 0
    pairs = max((len(a.sources) ** 2 for a in tensors if _costs(a).held_per_model), default=0)
    settling = {m for m, n in needs.items() if n.reach is not Reach.ELEMENT}
    settled = sum(a.method in settling for a in assignments.tensors)
    shared = books(assignments, settled) + 2 * facts + _PAIR * pairs
    spare = (memory - shared) // workers - block * row_bytes - 64 * (widest + 1)
    room = max(min(ARENA, int(0.5 * memory / workers), spare), 0) // arenas
    least = max((SEGMENT * element_bytes(a) for a in tensors), default=1)
    room = max(room, min(least, max(1, sum(map(tensor_bytes, tensors)))))

    of_worker = Room(room, arenas, memory // workers)
    surveyed = list(surveys_of(tensors, of_worker))
    wide = {id(a) for survey in surveyed for a in survey.assignments}
    tasks = tuple(tasks_of(tensors, of_worker, wide))
    every = [p for t in tasks for p in t.pieces]
    every_task = (*tasks, *(t for s in surveyed for t in s.tasks))
    arena = max(map(room_of, every_task), default=0)
    computed = min(block, max(map(elements_of, every_task), default=0))
    read = sum(p.read_bytes for p in every)
    read += sum(p.read_bytes for s in surveyed for t in s.tasks for p in t.pieces)
    by_name = {a.name: a for a in tensors}
    deriving = [deriving_bytes(a, by_name) for a in derived]
    for a, (_, need) in zip(derived, deriving, strict=True):
        if need > memory:
            raise MergeError(
                f"'{a.name}' is computed from a whole tensor ({a.rule}), which needs "
                f"{math.ceil(need / 2**20)} MiB and has {memory // 2**20} MiB: raise --memory."
            )
    merging = workers * (arenas * arena + max(computed * row_bytes, working))
    peak = shared + max([merging, *(need for _, need in deriving)])
    if peak > memory + SLACK:
        raise MergeError(too_much(assignments, peak, memory))
    return Plan(
        assignments=assignments,
        tasks=tasks,
        surveys=tuple(surveyed),
        derived=derived,
        workers=workers,
        block=block,
        arena=arena,
        facts=memory // _FACTS,
        bytes_read=read + sum(moved for moved, _ in deriving),
        bytes_written=sum(p.written_bytes for p in every) + sum(map(_written, derived)),
        peak_memory=peak,
    )


def deriving_bytes(a: Assignment, by_name: Mapping[str, Assignment]) -> tuple[int, int]:
    """Bytes that are read for a derived tensor, and that are held for it."""
    assert a.derivation is not None
    merged = by_name[a.derivation.of]
    read = sum(part.nbytes for part in a.parts) + _written(merged)
    room = a.derivation.room(merged.shape, merged.dtype.itemsize)
    return read, room + _written(merged) + 2 * _written(a)


def _written(a: Assignment) -> int:
    return math.prod(a.shape) * a.dtype.itemsize


def _costs(a: Assignment) -> Costs:
    return Costs() if a.method is None else costs_of(a.method)


def _row_bytes(a: Assignment) -> int:
    """Bytes that are held for each element of a block."""
    held = _costs(a).held_rows + _costs(a).held_per_model * len(a.sources)
    return width_of(a) * (len(a.entries) + _TEMPORARIES + held)


def _shape_of_work(memory: int, workers: int, row_bytes: int) -> tuple[int, int]:
    """Fewer workers, then smaller blocks, until the computing blocks take a sixth of memory."""
    block = BLOCK
    while workers * block * row_bytes > memory / 6 and (block > SEGMENT or workers > 1):
        if workers > 1 and block <= max(BLOCK // 2, SEGMENT):
            workers -= 1
        else:
            block = max(block // 2, SEGMENT)
    return workers, block
