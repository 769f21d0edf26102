"""How a merge will run: slices that fit the memory, passes, bytes; made before a byte is read.

An assignment is cut into pieces, runs of elements that start at a multiple of SEGMENT. Pieces are
gathered into tasks, which workers take in file order. What must be known of a whole model, or of
a tensor too large for a worker's arena, is surveyed first; everything else happens while mapping.
"""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import torch

from ..core import SEGMENT, Method, Needs, Reach
from ..errors import MergeError
from ..recipes.assignment import Assignment, Assignments, Beside
from ..values.fields import kebab_name
from .books import books, too_much

BLOCK = 2**19
"""Elements computed at a time: larger ones leave the cache, smaller ones wait for each other."""
CHUNK = 2**19
"""Elements read at a time where nothing asks for more."""
SMALL = 2**15
"""Tensors up to this many elements are packed, or batched into one task."""
ARENA = 2**27
"""A worker's buffer is never larger than this, whatever memory there is."""
_MAX_PIECES = 1024
_TEMPORARIES = 8
"""Float32 blocks that a method and the casts around it hold at once, beyond one per model."""
_FACTS = 12
"""The facts of a survey take a twelfth of the memory, and as much again while they are joined."""
_PAIR = 1024
"""Bytes for each pair of models whose products are summed, while they are joined."""
SLACK = 40 * 2**20
"""A plan may exceed the memory by this much; beyond it is refused. What the libraries take when
they begin to work, which no plan knows, makes 64 MiB of it."""


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
    def read_bytes(self) -> int:
        """Bytes that are read for it, once or in as many sweeps as it takes."""
        a = self.assignment
        loaded = self.numel * sum(row.dtype.itemsize for row in a.entries)
        if a.method is None or not _needs(a.method).whole:
            return loaded
        # Once for its facts and as often as the map needs; the base once for each.
        stacks = 2 if _needs(a.method).reach is Reach.TENSOR else 1
        sweeps = self.sweeps or _sweeps_of(a.method)
        read = [Beside(a.sources, a.base)] if self.sweeps else []
        swept = sum(
            sweeps * sum(row.nbytes for row in one.sources)
            + (0 if one.base is None else stacks * one.base.nbytes)
            for one in (*read, *a.above, *a.below)
        )
        return swept if self.sweeps else loaded + swept

    @property
    def written_bytes(self) -> int:
        """Bytes of its result."""
        return self.numel * self.assignment.dtype.itemsize


@dataclass(frozen=True, slots=True)
class Task:
    """What a worker takes at once; packed pieces share one computation, element by element."""

    pieces: tuple[Piece, ...]
    packed: bool = False


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
        arena: bytes of each worker's buffer.
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


@lru_cache(maxsize=64)
def _needs(method: Method) -> Needs:
    """What a method needs, made once: a plan asks for each tensor, and there may be very many."""
    return method.needs


def element_bytes(assignment: Assignment) -> int:
    """Bytes that one output element needs in the arena: its inputs and itself."""
    return sum(row.dtype.itemsize for row in assignment.entries) + assignment.dtype.itemsize


def make_plan(assignments: Assignments, *, memory: int, workers: int) -> Plan:
    """Cut a merge into tasks that keep within `memory` bytes.

    Raises:
        MergeError: a whole-matrix method, a tensor that follows from another, or so many models or
            tensors, need more memory than there is.
    """
    tensors = [a for a in assignments.tensors if a.derivation is None]
    derived = tuple(a for a in assignments.tensors if a.derivation is not None)
    widest = max((len(a.entries) for a in tensors), default=1)
    needs = {m: m.needs for m in {a.method for a in tensors} if m is not None}
    held = {m: (n.held_rows, n.held_per_model) for m, n in needs.items()}
    row_bytes = max((_row_bytes(a, held) for a in tensors), default=4)
    workers, block = _shape_of_work(memory, workers, row_bytes)
    working = max(map(_working, tensors), default=0)
    wholes = [_streamed(a) for a in tensors if _is_whole(a)]
    workers = min(workers, max(memory // max([1, *wholes]), 1))
    facts = memory // _FACTS if any(n.sample for n in needs.values()) else 0
    pairs = max(
        (len(a.sources) ** 2 for a in assignments.tensors if _is_paired(a, held)), default=0
    )
    settling = {m for m, n in needs.items() if n.reach is not Reach.ELEMENT}
    settled = sum(a.method in settling for a in assignments.tensors)
    shared = books(assignments, settled) + 2 * facts + _PAIR * pairs
    spare = (memory - shared) // workers - block * row_bytes - 64 * (widest + 1)
    room = max(min(ARENA, int(0.5 * memory / workers), spare), 0)
    least = max((SEGMENT * element_bytes(a) for a in tensors), default=1)
    room = max(room, min(least, max(1, sum(map(_tensor_bytes, tensors)))))

    surveyed = list(_surveys(tensors, room, memory // workers))
    wide = {id(a) for survey in surveyed for a in survey.assignments}
    tasks = tuple(_tasks(tensors, room, wide, memory // workers))
    every = [p for t in tasks for p in t.pieces]
    every_task = (*tasks, *(t for s in surveyed for t in s.tasks))
    arena = max(map(room_of, every_task), default=0)
    computed = min(block, max(map(_elements, every_task), default=0))
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
    merging = workers * (arena + max(computed * row_bytes, working))
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


def _is_paired(a: Assignment, held: Mapping[Method, tuple[int, int]]) -> bool:
    """Whether products of every two models are summed."""
    return a.method is not None and held[a.method][1] > 0


def _row_bytes(a: Assignment, held: Mapping[Method, tuple[int, int]]) -> int:
    """Bytes that are held for each element of a block; `held` is in all and for each model."""
    rows, per_model = (0, 0) if a.method is None else held[a.method]
    return _width(a) * (len(a.entries) + _TEMPORARIES + rows + per_model * len(a.sources))


def _shape_of_work(memory: int, workers: int, row_bytes: int) -> tuple[int, int]:
    """Fewer workers, then smaller blocks, until the computing blocks take a sixth of memory."""
    block = BLOCK
    while workers * block * row_bytes > memory / 6 and (block > SEGMENT or workers > 1):
        if workers > 1 and block <= max(BLOCK // 2, SEGMENT):
            workers -= 1
        else:
            block = max(block // 2, SEGMENT)
    return workers, block


def _surveys(tensors: Sequence[Assignment], room: int, whole_room: int) -> Iterator[Survey]:
    shared: dict[tuple[Method, tuple[int, ...], tuple[float, ...]], list[Assignment]] = {}
    for a in tensors:
        if a.method is None:
            continue
        match _needs(a.method).reach:
            case Reach.MODEL:
                shared.setdefault((a.method, a.models, a.weights), []).append(a)
            case Reach.TENSOR if not _needs(a.method).whole and _tensor_bytes(a) > room:
                yield _survey(a.method, [a], room, whole_room)
            case _:
                pass
    for (method, _, _), group in shared.items():
        yield _survey(method, group, room, whole_room)


def _survey(method: Method, group: list[Assignment], room: int, whole_room: int) -> Survey:
    wide = {id(a) for a in group}
    pieces = (p for a in group for p in _pieces(a, room, wide, whole_room, 1))
    batches = _batched(pieces, BLOCK)
    return Survey(method, tuple(group), tuple(batches))


def _tasks(tensors: Sequence[Assignment], room: int, wide: set[int], whole_room: int) -> list[Task]:
    loose = list[Assignment]()
    packable: dict[tuple[object, ...], list[Assignment]] = {}
    for a in tensors:
        signature = _packable(a) if math.prod(a.shape) <= SMALL else None
        (loose if signature is None else packable.setdefault(signature, [])).append(a)
    uncut = (p for a in loose for p in _pieces(a, room, wide, whole_room, None))
    tasks = [*_batched(uncut, BLOCK)]
    for group in packable.values():
        largest = max(math.prod(a.shape) for a in group)
        full = min(BLOCK, room // element_bytes(group[0]) - largest)
        pieces = (p for a in group for p in _cut(a, room))
        tasks.extend(Task(task.pieces, packed=True) for task in _batched(pieces, full))
    position = {id(a): i for i, a in enumerate(tensors)}
    return sorted(tasks, key=lambda task: position[id(task.pieces[0].assignment)])


def _packable(a: Assignment) -> tuple[object, ...] | None:
    """What tensors must have in common to be computed as one; None where they cannot be."""
    if a.method is None:
        assert a.copy_from is not None
        return (None, a.copy_from.dtype, a.dtype)
    needs = _needs(a.method)
    if needs.reach is Reach.TENSOR or needs.random or needs.whole:
        return None
    return (a.method, a.weights, a.models, a.dtype, *(row.dtype for row in a.entries))


def _pieces(
    a: Assignment, room: int, wide: set[int], whole_room: int, sweeps: int | None
) -> Iterator[Piece]:
    """The pieces of a tensor; a whole one in `sweeps` where it must be, else as its map needs."""
    if not _is_whole(a):
        yield from _cut(a, _step(a, room, wide))
        return
    assert a.method is not None
    numel = math.prod(a.shape)
    if _is_loaded(a, whole_room):
        yield Piece(a, 0, numel)
        return
    if _streamed(a) > whole_room:
        raise MergeError(
            f"{kebab_name(type(a.method))} works on whole matrices: '{a.name}' "
            f"{a.shape} needs {math.ceil(_streamed(a) / 2**20)} MiB per worker and has "
            f"{whole_room // 2**20} MiB: raise --memory or lower --workers."
        )
    yield Piece(a, 0, numel, sweeps or _sweeps_of(a.method))


def _sweeps_of(method: Method) -> int:
    """How often a whole tensor's rows are asked for; its survey asks for each row once."""
    return _needs(method).sweeps + (_needs(method).reach is Reach.TENSOR)


def _is_loaded(a: Assignment, whole_room: int) -> bool:
    return _tensor_bytes(a) + _working(a) <= whole_room


def _is_whole(a: Assignment) -> bool:
    return a.method is not None and _needs(a.method).whole


def _width(a: Assignment) -> int:
    return 8 if any(row.dtype == torch.float64 for row in a.entries) else 4


def _working(a: Assignment) -> int:
    """Bytes that the map of a whole tensor takes beyond the arena."""
    if a.method is None or not _needs(a.method).whole:
        return 0
    shape = a.view or a.shape
    held = a.method.needs.held_rows * math.prod(shape)
    put_together = 2 * math.prod(shape) if a.joined else 0
    return _width(a) * (a.method.room(shape, len(a.sources)) + held + put_together)


def _streamed(a: Assignment) -> int:
    """The least that a whole tensor takes: its result, one row as stored, and what is computed."""
    rows = max(row.dtype.itemsize for row in a.entries)
    return math.prod(a.shape) * (rows + a.dtype.itemsize) + _working(a)


def _step(a: Assignment, room: int, wide: set[int]) -> int:
    """Bytes of arena that one piece of this assignment may take."""
    fused = a.method is not None and _needs(a.method).reach is Reach.TENSOR and id(a) not in wide
    return room if fused else min(room, CHUNK * element_bytes(a))


def _cut(a: Assignment, step_bytes: int) -> Iterator[Piece]:
    numel = math.prod(a.shape)
    step = step_bytes // max(element_bytes(a), 1)
    if step < numel:
        step = max(step - step % SEGMENT, SEGMENT)
    for start in range(0, max(numel, 1), max(step, 1)):
        yield Piece(a, start, min(start + step, numel))


def _batched(pieces: Iterable[Piece], full: int) -> Iterator[Task]:
    """Tasks of consecutive pieces, each ended by the piece that fills it."""
    batch: list[Piece] = []
    filled = 0
    for piece in pieces:
        batch.append(piece)
        filled += piece.numel
        if filled >= full or len(batch) == _MAX_PIECES:
            yield Task(tuple(batch))
            batch, filled = [], 0
    if batch:
        yield Task(tuple(batch))


def room_of(task: Task) -> int:
    """Bytes of arena that a task takes, with padding between rows."""
    sizes = [
        p.numel * (p.assignment.dtype.itemsize if p.sweeps else element_bytes(p.assignment))
        for p in task.pieces
    ]
    rows = max((len(p.assignment.entries) + 1 for p in task.pieces), default=0)
    return (sum(sizes) if task.packed else max(sizes, default=0)) + 64 * rows


def _elements(task: Task) -> int:
    """Elements that are computed as one, but for blocks."""
    sizes = [piece.numel for piece in task.pieces]
    return sum(sizes) if task.packed else max(sizes)


def _tensor_bytes(a: Assignment) -> int:
    return math.prod(a.shape) * element_bytes(a)
