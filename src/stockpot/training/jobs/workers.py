"""Several networks at once: one process each, one torch thread each, the same bytes as in turn.

Processes are spawned, so a script that asks for them needs `if __name__ == "__main__":`.
"""

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from typing import Any

import torch

from ...errors import StockpotError
from ...running.executor import cores, one_thread
from .job import FinishedJob, Job
from .make import make

PATIENCE = 20.0
"""Seconds of work left in turn that make it worth starting processes, which takes a few each."""
GLANCE = 0.2
"""Seconds between looks at how far the processes are."""

Tell = Callable[[int, float], None]
"""Called with a job's number and the fraction of it that is done."""

_news: Any = None  # in a worker: the queue on which it tells how far it is


def carry_out(jobs: Sequence[Job], at_once: int | None, tell: Tell) -> list[FinishedJob]:
    """Make every network; the results are in the order of the jobs.

    Args:
        jobs: each comes after the one it waits for.
        at_once: processes, each at one network; 1 for none but this one; None for one per core as
            soon as that is worth it.
        tell: called as they get on.
    """
    made: dict[int, FinishedJob] = {}
    left, begun, longest = list(range(len(jobs))), time.monotonic(), 0.0
    while left and _in_turn(jobs[left[0]], at_once, longest * len(left)):
        number = left.pop(0)
        with one_thread():
            made[number] = make(jobs[number], lambda _, part, one=number: tell(one, part))
        tell(number, 1.0)
        longest, begun = max(longest, time.monotonic() - begun), time.monotonic()
    if left:
        for number, one in _at_once(jobs, left, min(len(left), at_once or cores()), tell):
            made[number] = one
    return [made[number] for number in range(len(jobs))]


def _in_turn(job: Job, at_once: int | None, seconds_left: float) -> bool:
    """Whether the next job is for this process."""
    if at_once is None:
        return seconds_left < PATIENCE or cores() == 1
    return at_once == 1 or job.path.exists()


def _at_once(
    jobs: Sequence[Job], numbers: Sequence[int], count: int, tell: Tell
) -> Iterator[tuple[int, FinishedJob]]:
    context = get_context("spawn")
    leash, hand = context.Pipe(duplex=False)
    news = context.SimpleQueue()
    with ProcessPoolExecutor(
        count, mp_context=context, initializer=_begin, initargs=(leash, news)
    ) as executor:
        running: dict[Future[FinishedJob], int] = {}
        left = list(numbers)
        try:
            while left or running:
                for number in [one for one in left if jobs[one].is_ready]:
                    running[executor.submit(_make, number, jobs[number])] = number
                    left.remove(number)
                done, _ = wait(running, timeout=GLANCE, return_when=FIRST_COMPLETED)
                while not news.empty():
                    tell(*news.get())
                for future in done:
                    number = running.pop(future)
                    yield number, future.result()
                    tell(number, 1.0)
        except BrokenProcessPool:
            raise StockpotError(
                "a worker died, most likely for want of memory: run it again with fewer --jobs. "
                "What is finished is kept."
            ) from None
        finally:
            executor.shutdown(wait=False, cancel_futures=True)
            if running:
                hand.close()  # ends workers that are still at it; their epochs are kept


def _begin(leash: Any, news: Any) -> None:
    """In a worker: one thread, no Ctrl-C of its own, and an end when the other end lets go."""
    global _news
    _news = news
    torch.set_num_threads(1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_follow, args=(leash,), daemon=True).start()


def _follow(leash: Any) -> None:
    """A process whose parent was killed must not go on writing beside the next run."""
    try:
        leash.recv()
    except EOFError:
        os._exit(1)


def _make(number: int, job: Job) -> FinishedJob:
    return make(job, lambda _, part: _news.put((number, part)))
