"""Tasks at once: a task is a function of its own values, and an executor says where it runs.

A worker is begun once, with buffers of its own, and then does task after task, step by step. It
shares nothing with other workers: what comes of a step goes to the caller, who joins it in the one
thread in which it called. So another executor, of processes or of several machines, needs `begin`,
tasks and results that pickle, and nothing else here changes.
"""

from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from itertools import islice
from queue import Full, Queue
from threading import Event, Lock
from typing import Generic, Protocol, TypeVar

import torch

from .. import system

T = TypeVar("T")
R = TypeVar("R")
Begin = Callable[[], Callable[[T], Iterable[R]]]
"""Called in the worker's own thread or process: makes what does a task, step by step."""

_PATIENCE = 0.1
"""Seconds after which a worker that waits for the caller looks whether the run has ended."""


class Executor(Protocol):
    """Where tasks run."""

    def run(
        self, begin: Begin[T, R], tasks: Sequence[T], take: Callable[[R], None], workers: int
    ) -> None:
        """Do every task; what comes of each step is taken in the calling thread, in any order.

        Torch has one thread in each worker, and in the caller meanwhile.

        Args:
            begin: makes a worker.
            tasks: each is begun in this order.
            take: called with every result; a worker waits rather than that results pile up.
            workers: at once, at most.

        Raises:
            BaseException: the first error of a worker, or that of `take`, or what a signal raises
                in the caller, as it is. No task is begun after it and none goes on beyond its step.
        """
        ...


class Threads:
    """Threads of this process."""

    def run(
        self, begin: Begin[T, R], tasks: Sequence[T], take: Callable[[R], None], workers: int
    ) -> None:
        """As `Executor.run` says."""
        if not tasks:
            return
        system.here.keep_freed_blocks()
        _product_made()
        count, crew = min(workers, len(tasks)), _Crew(begin, tasks)
        with one_thread(), ThreadPoolExecutor(count) as pool:
            try:
                for _ in range(count):
                    pool.submit(crew.work)
                crew.hand_on(take, count)
            finally:  # Ctrl-C too: the workers leave after the step that they are at
                crew.dismiss()


@dataclass(frozen=True, slots=True)
class _End:
    """A worker has no more to do, or has failed."""

    error: BaseException | None


class _Crew(Generic[T, R]):
    """Threads at the same tasks, and what they give to the caller: one result waits at most."""

    def __init__(self, begin: Begin[T, R], tasks: Sequence[T]) -> None:
        self._begin, self._tasks, self._taking = begin, iter(tasks), Lock()
        self._results: Queue[R | _End] = Queue(1)
        self._over, self._dismissed = Event(), Event()

    def work(self) -> None:
        """What each thread does."""
        torch.set_num_threads(1)
        end = _End(None)
        try:
            worker = self._begin()
            for task in self._left():
                for result in worker(task):
                    self._put(result)
                    if self._over.is_set():
                        return
        except BaseException as error:
            self._over.set()
            end = _End(error)
        self._put(end)

    def _left(self) -> Iterator[T]:
        while not self._over.is_set():
            with self._taking:
                taken = [*islice(self._tasks, 1)]
            if not taken:
                return
            yield taken[0]

    def _put(self, result: R | _End) -> None:
        while not self._dismissed.is_set():
            try:
                self._results.put(result, timeout=_PATIENCE)
            except Full:
                continue
            return

    def hand_on(self, take: Callable[[R], None], at_work: int) -> None:
        """Take what comes until every thread has ended, or one has failed."""
        while at_work:
            result = self._results.get()
            if not isinstance(result, _End):
                take(result)
            elif result.error is None:
                at_work -= 1
            else:
                try:
                    raise result.error
                finally:
                    del result  # else the error would hold this frame, and the frame the error

    def dismiss(self) -> None:
        """Begin no further task or step, and wait for nobody."""
        self._over.set()
        self._dismissed.set()


THREADS = Threads()


def in_order(
    function: Callable[[T], R],
    items: Sequence[T],
    *,
    workers: int,
    tell: Callable[[int], None] | None = None,
    executor: Executor = THREADS,
) -> list[R]:
    """A function of each item, several at once; in this thread where one worker is enough.

    Args:
        function: of one item; errors are raised as they are, the first to come first.
        items: what it is called with.
        workers: at once, at most.
        tell: called with the number of an item that is done, in the calling thread.
        executor: where it runs.

    Returns:
        The results in the order of the items.
    """
    made: dict[int, R] = {}

    def take(result: tuple[int, R]) -> None:
        made[result[0]] = result[1]
        if tell is not None:
            tell(result[0])

    if min(workers, len(items)) > 1:
        executor.run(_Applied(function), list(enumerate(items)), take, workers)
    else:
        with one_thread():
            for number, item in enumerate(items):
                take((number, function(item)))
    return [made[number] for number in range(len(items))]


@dataclass(frozen=True, slots=True)
class _Applied(Generic[T, R]):
    """Begins a worker that calls a function and keeps nothing."""

    function: Callable[[T], R]

    def __call__(self) -> "Callable[[tuple[int, T]], Iterable[tuple[int, R]]]":
        return self._steps

    def _steps(self, task: tuple[int, T]) -> Iterator[tuple[int, R]]:
        yield task[0], self.function(task[1])


def cores() -> int:
    """Cores that this process may use."""
    return system.here.cores()


def workers_for(wanted: int | None) -> int:
    """As many as are wanted; by default one per core, at most eight."""
    return wanted or min(cores(), 8)


@cache
def _product_made() -> None:
    """A first product, here: made in several threads at once it takes 40 MiB that stay taken."""
    torch.mm(torch.ones(64, 512), torch.ones(512, 64))


@contextmanager
def one_thread() -> Generator[None]:
    """Let torch compute with one thread inside the block.

    The number of threads decides the order of sums, and so the last bits of trained weights. For
    small networks one thread is also as fast as several, and not at the mercy of a busy machine.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
