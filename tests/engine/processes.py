"""An executor of processes, as another module would bring one; imported in each of them too."""

import pickle
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from typing import Any

import torch

_begun: tuple[bytes, Callable[[Any], Iterable[Any]]] | None = None


class Processes:
    """`Executor` over a pool of processes; everything goes there and back as bytes."""

    def __init__(self, pool: ProcessPoolExecutor) -> None:
        self._pool = pool
        self.tasks = 0

    def run(
        self,
        begin: Callable[[], Callable[[Any], Iterable[Any]]],
        tasks: Sequence[Any],
        take: Callable[[Any], None],
        workers: int,
    ) -> None:
        told, left = pickle.dumps(begin), iter(tasks)
        running = {
            self._pool.submit(steps, told, pickle.dumps(t))
            for _, t in zip(range(workers), left, strict=False)
        }
        while running:
            done, running = wait(running, return_when=FIRST_COMPLETED)
            for future in done:
                self.tasks += 1
                for result in pickle.loads(future.result()):
                    take(result)
                for task in left:
                    running.add(self._pool.submit(steps, told, pickle.dumps(task)))
                    break


def steps(told: bytes, task: bytes) -> bytes:
    """In a worker, which is begun anew where it is told something else."""
    global _begun
    if _begun is None or _begun[0] != told:
        torch.set_num_threads(1)
        _begun = told, pickle.loads(told)()
    return pickle.dumps(list(_begun[1](pickle.loads(task))))
