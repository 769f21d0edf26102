"""Tasks at once: every one is done, the first error wins, an interrupt ends, nothing piles up."""

import threading
import time
from collections.abc import Callable, Iterator

import pytest
import torch

from stockpot.running.executor import THREADS, in_order

Worker = Callable[[int], Iterator[tuple[int, int]]]


class Trouble(Exception):
    """What goes wrong here."""


def three_steps(task: int) -> Iterator[tuple[int, int]]:
    for step in range(3):
        yield task, step


def begins(worker: Worker) -> Callable[[], Worker]:
    return lambda: worker


@pytest.mark.parametrize("workers", [1, 2, 5, 40])
def test_every_step_of_every_task_is_taken_once_in_the_calling_thread(workers: int) -> None:
    began, taken, where = list[int](), list[tuple[int, int]](), set[int]()

    def begin() -> Worker:
        began.append(threading.get_ident())
        return three_steps

    def take(result: tuple[int, int]) -> None:
        taken.append(result)
        where.add(threading.get_ident())

    THREADS.run(begin, range(20), take, workers)
    assert sorted(taken) == [(task, step) for task in range(20) for step in range(3)]
    for task in range(20):
        assert [step for number, step in taken if number == task] == [0, 1, 2]
    assert where == {threading.get_ident()}
    assert 1 <= len(began) == len(set(began)) <= min(workers, 20)


def test_nothing_to_do_begins_nobody() -> None:
    def begin() -> Worker:
        raise Trouble

    THREADS.run(begin, [], lambda _: None, 3)
    assert in_order(abs, [], workers=3) == []


@pytest.mark.parametrize("workers", [1, 3])
@pytest.mark.parametrize("where", ["begin", "task", "take"])
def test_the_first_error_is_raised_as_it_is_and_ends_the_run(where: str, workers: int) -> None:
    trouble, failed, after = Trouble(where), threading.Event(), list[int]()

    def fail(at: str) -> None:
        if at == where and not failed.is_set():
            failed.set()
            raise trouble

    def steps(task: int) -> Iterator[tuple[int, int]]:
        if failed.is_set():
            after.append(task)
        fail("task")
        time.sleep(0.005)
        yield task, 0
        time.sleep(0.05)
        yield task, 1

    def begin() -> Worker:
        fail("begin")
        return steps

    with pytest.raises(Trouble) as caught:
        THREADS.run(begin, range(1000), lambda _: fail("take"), workers)
    assert caught.value is trouble
    assert len(after) <= workers
    assert not [thread for thread in threading.enumerate() if "ThreadPool" in thread.name]


def test_an_error_of_many_at_once_is_one_of_theirs() -> None:
    together = threading.Barrier(4)

    def fail(number: int) -> None:
        together.wait(10)
        raise Trouble(f"{number}")

    with pytest.raises(Trouble, match=r"^[0-3]$"):
        in_order(fail, range(4), workers=4)


def test_an_interrupt_ends_soon_and_loses_nothing_that_was_taken() -> None:
    """Workers leave after the step that they are at, though their tasks have no end."""
    taken = list[tuple[int, int]]()

    def endless(task: int) -> Iterator[tuple[int, int]]:
        step = 0
        while True:
            yield task, step
            step += 1

    def take(result: tuple[int, int]) -> None:
        taken.append(result)
        if len(taken) == 50:
            raise KeyboardInterrupt

    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        THREADS.run(begins(endless), range(100), take, 3)
    assert time.monotonic() - began < 10
    assert len(taken) == 50
    assert not [thread for thread in threading.enumerate() if "ThreadPool" in thread.name]


def test_results_do_not_pile_up_where_the_caller_is_slow() -> None:
    """Each worker may have one in its hands, and one waits."""
    made, taken, workers = [0], [0], 3
    lock = threading.Lock()

    def steps(task: int) -> Iterator[tuple[int, int]]:
        for step in range(5):
            with lock:
                made[0] += 1
            yield task, step

    def take(_: tuple[int, int]) -> None:
        time.sleep(0.01)
        taken[0] += 1
        assert made[0] <= taken[0] + workers + 2

    THREADS.run(begins(steps), range(12), take, workers)
    assert made == taken == [60]


@pytest.mark.parametrize("workers", [1, 3])
def test_torch_has_one_thread_in_workers_and_in_the_caller_meanwhile(workers: int) -> None:
    seen, before = list[int](), torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        found = in_order(
            lambda _: torch.get_num_threads(),
            range(9),
            workers=workers,
            tell=lambda _: seen.append(torch.get_num_threads()),
        )
        assert set(found) == set(seen) == {1}
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize("workers", [1, 2, 7])
def test_results_are_in_the_order_of_the_items(workers: int) -> None:
    told = list[int]()

    def slow(number: int) -> int:
        time.sleep(0.002 * (number % 3))
        return number**2

    assert in_order(slow, range(10), workers=workers, tell=told.append) == [
        number**2 for number in range(10)
    ]
    assert sorted(told) == list(range(10))
