"""How tensors are cut into pieces, and pieces gathered into tasks."""

import math
from collections.abc import Iterable, Iterator, Sequence

from ..core import SEGMENT, Method, Reach
from ..errors import MergeError
from ..recipes.resolving.assignment import Assignment
from ..values.fields import kebab_name
from .pieces import (
    Piece,
    Room,
    Survey,
    Task,
    element_bytes,
    is_loaded,
    is_whole,
    needs_of,
    streamed_bytes,
    sweeps_of,
    tensor_bytes,
)

BLOCK = 2**19
"""Elements computed at a time: larger ones leave the cache, smaller ones wait for each other."""
CHUNK = 2**19
"""Elements read at a time where nothing asks for more."""
SMALL = 2**15
"""Tensors up to this many elements are packed, or batched into one task."""
_MAX_PIECES = 1024


def surveys_of(tensors: Sequence[Assignment], room: Room) -> Iterator[Survey]:
    """What must be known before anything is mapped.

    Args:
        tensors: in file order.
        room: memory of a worker.
    """
    shared: dict[tuple[Method, tuple[int, ...], tuple[float, ...]], list[Assignment]] = {}
    for a in tensors:
        if a.method is None:
            continue
        match needs_of(a.method).reach:
            case Reach.MODEL:
                shared.setdefault((a.method, a.models, a.weights), []).append(a)
            case Reach.TENSOR if not needs_of(a.method).whole and tensor_bytes(a) > room.arena:
                yield _survey(a.method, [a], room)
            case _:
                pass
    for (method, _, _), group in shared.items():
        yield _survey(method, group, room)


def _survey(method: Method, group: list[Assignment], room: Room) -> Survey:
    wide = {id(a) for a in group}
    pieces = (p for a in group for p in _pieces(a, room, wide, 1))
    return Survey(method, tuple(group), tuple(batched(pieces, BLOCK)))


def tasks_of(tensors: Sequence[Assignment], room: Room, wide: set[int]) -> list[Task]:
    """The maps and copies, in file order; `wide` are tensors that are surveyed before."""
    loose = list[Assignment]()
    packable: dict[tuple[object, ...], list[Assignment]] = {}
    for a in tensors:
        signature = _packable(a) if math.prod(a.shape) <= SMALL else None
        (loose if signature is None else packable.setdefault(signature, [])).append(a)
    uncut = ([*_pieces(a, room, wide, None)] for a in loose)
    tasks = [*_batched(uncut, BLOCK)]
    for group in packable.values():
        largest = max(math.prod(a.shape) for a in group)
        full = min(BLOCK, room.arena // element_bytes(group[0]) - largest)
        small = ([*_cut(a, room.arena)] for a in group)
        tasks.extend(Task(task.pieces, packed=True) for task in _batched(small, full))
    position = {id(a): i for i, a in enumerate(tensors)}
    return sorted(tasks, key=lambda task: position[id(task.pieces[0].assignment)])


def _packable(a: Assignment) -> tuple[object, ...] | None:
    """What tensors must have in common to be computed as one; None where they cannot be."""
    if a.method is None:
        assert a.copy_from is not None
        return (None, a.copy_from.dtype, a.dtype)
    needs = needs_of(a.method)
    if needs.reach is Reach.TENSOR or needs.random or needs.whole or a.extras:
        return None
    return (a.method, a.weights, a.models, a.dtype, *(row.dtype for row in a.entries))


def _pieces(a: Assignment, room: Room, wide: set[int], sweeps: int | None) -> Iterator[Piece]:
    """The pieces of a tensor; a whole one in `sweeps` where it must be, else as its map needs."""
    if not is_whole(a):
        yield from _cut(a, _step(a, room.arena, wide))
        return
    assert a.method is not None
    numel = math.prod(a.shape)
    if is_loaded(a, room):
        yield Piece(a, 0, numel)
        return
    if streamed_bytes(a) > room.whole:
        raise MergeError(
            f"{kebab_name(type(a.method))} works on whole matrices: '{a.name}' "
            f"{a.shape} needs {math.ceil(streamed_bytes(a) / 2**20)} MiB per worker and has "
            f"{room.whole // 2**20} MiB: raise --memory or lower --workers."
        )
    yield Piece(a, 0, numel, sweeps or sweeps_of(a.method))


def _step(a: Assignment, room: int, wide: set[int]) -> int:
    """Bytes of arena that one piece of this assignment may take."""
    fused = a.method is not None and needs_of(a.method).reach is Reach.TENSOR and id(a) not in wide
    return room if fused else min(room, CHUNK * element_bytes(a))


def _cut(a: Assignment, step_bytes: int) -> Iterator[Piece]:
    numel = math.prod(a.shape)
    step = step_bytes // max(element_bytes(a), 1)
    if step < numel:
        step = max(step - step % SEGMENT, SEGMENT)
    for start in range(0, max(numel, 1), max(step, 1)):
        yield Piece(a, start, min(start + step, numel))


def batched(pieces: Iterable[Piece], full: int) -> Iterator[Task]:
    """Tasks of consecutive pieces, each ended by the piece that fills it."""
    return _batched(([piece] for piece in pieces), full)


def _batched(runs: Iterable[Sequence[Piece]], full: int) -> Iterator[Task]:
    """The same of runs that are not to be parted."""
    batch: list[Piece] = []
    filled = 0
    for pieces in runs:
        batch.extend(pieces)
        filled += sum(piece.numel for piece in pieces)
        if filled >= full or len(batch) >= _MAX_PIECES:
            yield Task(tuple(batch))
            batch, filled = [], 0
    if batch:
        yield Task(tuple(batch))
