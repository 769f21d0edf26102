"""What a plan is made of: pieces of tensors, tasks of pieces, surveys; and what they take.

A piece is a run of elements that starts at a multiple of SEGMENT. A task is what a worker takes at
once.
"""

import math
from dataclasses import dataclass
from functools import lru_cache

import torch

from ..core import Costs, Method, Needs, Reach
from ..recipes.resolving.assignment import Assignment, Beside


@dataclass(frozen=True, slots=True)
class Piece:
    """Elements [start, stop) of one output tensor.

    `sweeps` is 0 where its rows are loaded into the arena, once. A whole tensor whose rows do not
    fit there is read row by row whenever its method asks, so many times in all.
    """

    assignment: Assignment
    start: int
    stop: int
    sweeps: int = 0

    @property
    def numel(self) -> int:
        """Number of elements."""
        return self.stop - self.start

    @property
    def whole(self) -> bool:
        """Whether it is the whole tensor."""
        return self.numel == math.prod(self.assignment.shape)

    @property
    def is_last(self) -> bool:
        """Whether its tensor ends with it."""
        return self.stop == math.prod(self.assignment.shape)

    @property
    def read_bytes(self) -> int:
        """Bytes that are read for it, once or in as many sweeps as it takes."""
        a = self.assignment
        loaded = self.numel * sum(row.dtype.itemsize for row in a.rows)
        if a.method is None or not needs_of(a.method).whole:
            return loaded
        # Once for its facts and as often as the map needs; the base once for each.
        stacks = 2 if needs_of(a.method).reach is Reach.TENSOR else 1
        sweeps = self.sweeps or sweeps_of(a.method)
        read = [Beside(a.sources, a.base)] if self.sweeps else []
        swept = sum(
            sweeps * sum(row.nbytes for row in one.sources)
            + (0 if one.base is None else stacks * one.base.nbytes)
            for one in (*read, *a.above, *a.below)
        )
        apart = sum(row.nbytes for row in a.apart)
        return apart + (swept if self.sweeps else loaded + swept)

    @property
    def written_bytes(self) -> int:
        """Bytes of its result; with a tensor's last piece, of what is given beside it."""
        beside = sum(one.nbytes for one in self.assignment.extras) if self.is_last else 0
        return self.numel * self.assignment.dtype.itemsize + beside


@dataclass(frozen=True, slots=True)
class Task:
    """What a worker takes at once; packed pieces share one computation, element by element.

    Of a tensor that is mapped all pieces are in one task, in their order: so that its bytes are
    hashed while they stream, and no worker waits for another's.
    """

    pieces: tuple[Piece, ...]
    packed: bool = False


@dataclass(frozen=True, slots=True)
class Room:
    """Memory of one worker.

    Attributes:
        arena: bytes of each of its arenas, for pieces of tensors that may be cut.
        arenas: how many it has.
        whole: bytes that it may take in all for a tensor that may not be cut.
    """

    arena: int
    arenas: int
    whole: int


@dataclass(frozen=True, slots=True)
class Survey:
    """Tensors whose facts are joined before any of them can be mapped."""

    method: Method
    assignments: tuple[Assignment, ...]
    tasks: tuple[Task, ...]

    @property
    def numel(self) -> int:
        """Number of elements surveyed."""
        return sum(math.prod(a.shape) for a in self.assignments)


@lru_cache(maxsize=64)
def needs_of(method: Method) -> Needs:
    """What a method needs, made once: a plan asks for each tensor, and there may be very many."""
    return method.needs


@lru_cache(maxsize=64)
def costs_of(method: Method) -> Costs:
    """What running a method takes, made once."""
    return method.costs


def element_bytes(assignment: Assignment) -> int:
    """Bytes that one output element needs in the arena: its inputs and itself."""
    return sum(row.dtype.itemsize for row in assignment.rows) + assignment.dtype.itemsize


def sweeps_of(method: Method) -> int:
    """How often a whole tensor's rows are asked for; its survey asks for each row once."""
    return costs_of(method).sweeps + (needs_of(method).reach is Reach.TENSOR)


def is_loaded(a: Assignment, room: Room) -> bool:
    """Whether all rows of a whole tensor fit a worker's memory at once."""
    return room.arenas * tensor_bytes(a) + working_bytes(a) <= room.whole


def is_whole(a: Assignment) -> bool:
    """Whether its method works on whole tensors."""
    return a.method is not None and needs_of(a.method).whole


def width_of(a: Assignment) -> int:
    """Bytes of one element as it is computed."""
    return 8 if any(row.dtype == torch.float64 for row in a.entries) else 4


def working_bytes(a: Assignment) -> int:
    """Bytes that the map of a whole tensor takes beyond the arena."""
    if a.method is None or not needs_of(a.method).whole:
        return 0
    shape = a.view or a.shape
    held = costs_of(a.method).held_rows * math.prod(shape)
    put_together = 2 * math.prod(shape) if a.joined else 0
    stored = max((row.nbytes for row in a.apart), default=0)
    return stored + width_of(a) * (a.method.room(shape, len(a.sources)) + held + put_together)


def streamed_bytes(a: Assignment) -> int:
    """The least that a whole tensor takes: its result, one row as stored, and what is computed."""
    rows = max(row.dtype.itemsize for row in a.rows)
    return math.prod(a.shape) * (rows + a.dtype.itemsize) + working_bytes(a)


def room_of(task: Task) -> int:
    """Bytes of arena that a task takes, with padding between rows."""
    sizes = [
        p.numel * (p.assignment.dtype.itemsize if p.sweeps else element_bytes(p.assignment))
        for p in task.pieces
    ]
    rows = max((len(p.assignment.entries) + 1 for p in task.pieces), default=0)
    return (sum(sizes) if task.packed else max(sizes, default=0)) + 64 * rows


def elements_of(task: Task) -> int:
    """Elements that are computed as one, but for blocks."""
    sizes = [piece.numel for piece in task.pieces]
    return sum(sizes) if task.packed else max(sizes)


def tensor_bytes(a: Assignment) -> int:
    """Bytes that all of it takes in the arena: its inputs and itself."""
    return math.prod(a.shape) * element_bytes(a)
