"""One pass over the same tensors of several checkpoints, within a memory budget, over threads.

Each tensor is cut into pieces that start at multiples of SEGMENT. What is made of a piece joins
what was made of the tensor's other pieces, in any order; so joining must be exact, as sums by
math.fsum and counts are, and the budget and the number of threads do not matter to the bits.
"""

import os
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import Tensor

from ..checkpoints.entry import TensorEntry
from ..core import SEGMENT
from ..errors import FieldError, MergeError
from ..recipes.sizes import format_size, parse_size
from ..running.allocator import keep_freed_blocks
from .rows import Arena, raw_bytes

P = TypeVar("P")
R = TypeVar("R")

MOST = 2**21
"""Elements of a piece, at most."""


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


class _Pieces:
    """What is still to be done, and what is joined of each tensor."""

    def __init__(self, tensors: Sequence[Aligned], step: int) -> None:
        self.cuts = iter(_cuts(tensors, step))
        self.lock = threading.Lock()
        self.stop = threading.Event()
        self.left = [max(-(-one.numel // step), 1) for one in tensors]
        self.done, self.total = 0, max(sum(one.numel for one in tensors), 1)


def stream(
    tensors: Sequence[Aligned],
    measure: Callable[[Aligned, Sequence[Tensor], int], P],
    join: Callable[[P, P], P],
    finish: Callable[[Aligned, P], R],
    *,
    room: Callable[[Aligned], int],
    memory: int | str,
    workers: int | None,
    progress: Callable[[str, float], None] | None = None,
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
    work = _Pieces(tensors, step)
    parts: dict[int, P] = {}
    found: dict[int, R] = {}

    def joined(index: int, part: P, numel: int) -> None:
        while True:  # joining goes on outside the lock, with what others have left there meanwhile
            with work.lock:
                other = parts.pop(index, None)
                if other is None:
                    parts[index] = part
                    work.left[index] -= 1
                    work.done += numel
                    if work.left[index]:
                        return
                    whole = parts.pop(index)
                    break
            part = join(other, part)
        result = finish(tensors[index], whole)
        with work.lock:
            found[index] = result
            if progress:
                progress(tensors[index].name, work.done / work.total)

    def worker() -> None:
        torch.set_num_threads(1)
        memory = Arena(arena, torch.device("cpu"))
        try:
            while not work.stop.is_set():
                with work.lock:
                    cut = next(work.cuts, None)
                if cut is None:
                    return
                index, start, stop = cut
                rows = _read(tensors[index], start, stop, memory)
                joined(index, measure(tensors[index], rows, start), stop - start)
        except BaseException:
            work.stop.set()
            raise

    _run(worker, threads, work.stop)
    return [found[index] for index in range(len(tensors))]


def _run(worker: Callable[[], None], threads: int, stop: threading.Event) -> None:
    keep_freed_blocks()
    before = torch.get_num_threads()
    try:
        with ThreadPoolExecutor(threads) as pool:
            futures = [pool.submit(worker) for _ in range(threads)]
            try:
                wait(futures)
            except BaseException:  # Ctrl-C: the workers leave before their next piece
                stop.set()
                raise
        for future in futures:
            future.result()
    finally:
        torch.set_num_threads(before)


def _cuts(tensors: Sequence[Aligned], step: int) -> Iterator[tuple[int, int, int]]:
    for index, one in enumerate(tensors):
        for start in range(0, max(one.numel, 1), step):
            yield index, start, min(start + step, one.numel)


def _fit(
    tensors: Sequence[Aligned],
    room: Callable[[Aligned], int],
    budget: int,
    workers: int | None,
) -> tuple[int, int, int]:
    """Threads, elements of a piece, and bytes of an arena."""
    threads = workers or min(len(os.sched_getaffinity(0)), 8)
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
