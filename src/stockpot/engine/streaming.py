"""One pass over the same tensors of several checkpoints, within a memory budget, over threads.

Each tensor is cut into pieces that start at multiples of SEGMENT. What is made of a piece joins
what was made of the tensor's other pieces, in any order; so joining must be exact, as sums by
math.fsum and counts are, and the budget and the number of threads do not matter to the bits.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Generic, TypeVar

import torch
from torch import Tensor

from ..checkpoints.entry import TensorEntry
from ..core import SEGMENT
from ..errors import FieldError, MergeError
from ..recipes.reading.sizes import format_size, parse_size
from ..running.executor import THREADS, workers_for
from ..values.result import Progress
from .rows import Arena, raw_bytes

P = TypeVar("P")
R = TypeVar("R")

MOST = 2**21
"""Elements of a piece, at most."""
_SHARES = 4
"""A tensor of more than a quarter of what each worker has to do is shared among them."""


@dataclass(frozen=True, slots=True, eq=False)
class Aligned:
    """One tensor of several checkpoints: the same shape, each in its own dtype."""

    name: str
    shape: tuple[int, ...]
    entries: tuple[TensorEntry, ...]

    @property
    def numel(self) -> int:
        """Elements of one of them."""
        return self.entries[0].numel

    @property
    def wide(self) -> bool:
        """Whether one of them is float64, so that all are computed in it."""
        return any(entry.dtype == torch.float64 for entry in self.entries)

    @property
    def nbytes(self) -> int:
        """Of one element in all of them."""
        return sum(entry.dtype.itemsize for entry in self.entries)


def stream(
    tensors: Sequence[Aligned],
    measure: Callable[[Aligned, Sequence[Tensor], int], P],
    join: Callable[[P, P], P],
    finish: Callable[[Aligned, P], R],
    *,
    room: Callable[[Aligned], int],
    memory: int | str,
    workers: int | None,
    progress: Progress | None = None,
) -> list[R]:
    """Measure every tensor, piece by piece; results in the order of the tensors.

    Args:
        tensors: what to read.
        measure: of a piece: flat rows in their stored dtypes, and where in the tensor they start.
            Rows are gone when it returns.
        join: of two results of one tensor; associative and commutative to the last bit.
        finish: of a tensor's joined result.
        room: bytes that measuring takes beyond the rows, whatever the piece.
        memory: budget for buffers.
        workers: threads; by default one per core, at most eight, as far as memory allows.
        progress: called with a tensor that is done and the fraction of all elements.

    Raises:
        FieldError: fewer than one worker.
        MergeError: the budget does not hold one run of 2^15 elements.
        CheckpointError: a file cannot be read to its end.
    """
    if workers is not None and workers < 1:
        raise FieldError(f"workers must be at least 1; got {workers}.")
    if not tensors:
        return []
    threads, step, arena = _fit(tensors, room, parse_size(memory), workers)
    total = sum(one.numel for one in tensors)
    runs = [*_runs(tensors, step, total // (_SHARES * threads))]
    parts: dict[int, _Joined[P]] = {}
    found: dict[int, R] = {}
    done = 0

    def measured(memory: Arena, run: _Run) -> Iterator[_Step[P, R]]:
        one, part = tensors[run.tensor], None
        for start in range(run.start, max(run.stop, run.start + 1), step):
            stop = min(start + step, run.stop)
            more = measure(one, _read(one, start, stop, memory), start)
            part = more if part is None else join(part, more)
            if stop < run.stop:
                yield _Step(run.tensor, stop - start)
            elif run.stop - run.start == one.numel:
                yield _Step(run.tensor, stop - start, finished=[finish(one, part)])
            else:
                yield _Step(run.tensor, stop - start, part=[_Joined(part, run.stop - run.start)])

    def take(made: _Step[P, R]) -> None:
        nonlocal done
        done += made.numel
        one = tensors[made.tensor]
        for part in made.part:
            before = parts.pop(made.tensor, None)
            joined = part if before is None else before.join(part, join)
            if joined.numel < one.numel:
                parts[made.tensor] = joined
            else:
                made.finished.append(finish(one, joined.part))
        for result in made.finished:
            found[made.tensor] = result
            if progress:
                progress(one.name, done / max(total, 1))

    THREADS.run(lambda: partial(measured, Arena(arena)), runs, take, threads)
    return [found[index] for index in range(len(tensors))]


@dataclass(frozen=True, slots=True)
class _Run:
    """Elements [start, stop) of a tensor, which one worker measures piece by piece."""

    tensor: int
    start: int
    stop: int


@dataclass(frozen=True, slots=True)
class _Joined(Generic[P]):
    """What was measured of so many elements of a tensor."""

    part: P
    numel: int

    def join(self, other: "_Joined[P]", join: Callable[[P, P], P]) -> "_Joined[P]":
        """Of both."""
        return _Joined(join(self.part, other.part), self.numel + other.numel)


@dataclass(frozen=True, slots=True)
class _Step(Generic[P, R]):
    """A piece that was measured; with the last of a run what came of it, in a list of one.

    Of a run that is its whole tensor, the worker finishes it too.
    """

    tensor: int
    numel: int
    part: "list[_Joined[P]]" = field(default_factory=list["_Joined[P]"])
    finished: list[R] = field(default_factory=list[R])


def _runs(tensors: Sequence[Aligned], step: int, share: int) -> Iterator[_Run]:
    """Whole tensors, but for those that are more than a share."""
    size = max(step, share - share % step)
    for index, one in enumerate(tensors):
        for start in range(0, max(one.numel, 1), size):
            yield _Run(index, start, min(start + size, one.numel))


def _fit(
    tensors: Sequence[Aligned],
    room: Callable[[Aligned], int],
    budget: int,
    workers: int | None,
) -> tuple[int, int, int]:
    """Threads, elements of a piece, and bytes of an arena."""
    threads = workers_for(workers)
    most = min(MOST, max(one.numel for one in tensors))
    each, padding = max(one.nbytes for one in tensors), 64 * max(len(t.entries) for t in tensors)
    beside = max(room(one) for one in tensors) + padding
    least = min(most, SEGMENT) * each + beside
    if least > budget:
        raise MergeError(
            f"one pass over these models needs {-(-least // 2**20)} MiB; memory is "
            f"{format_size(budget)}: raise it, or give fewer models."
        )
    threads = min(threads, budget // least)
    step = max(min(most, (budget // threads - beside) // each), 1)
    if step < most:
        step = max(step - step % SEGMENT, SEGMENT)
    return threads, step, step * each + padding


def _read(one: Aligned, start: int, stop: int, arena: Arena) -> list[Tensor]:
    arena.clear()
    rows = list[Tensor]()
    for entry in one.entries:
        row = arena.take(stop - start, entry.dtype)
        entry.source.read_into(raw_bytes(row), entry.offset + start * entry.dtype.itemsize)
        rows.append(row)
    return rows
