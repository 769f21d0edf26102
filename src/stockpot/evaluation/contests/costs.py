"""What methods cost: the price of one network, so many times."""

from collections.abc import Collection, Sequence
from contextlib import AbstractContextManager, nullcontext

from torch import nn

from ...data import Dataset
from ...networks import NetworkCost, cost_of
from ...running.executor import one_thread
from ..predictions.ingredients import Ingredients
from ..predictions.predict import device_of
from ..results.comparison import Cost
from .bodies import Task

SMALL = 2**31
"""Multiply-adds of a batch below which threads wait for each other longer than they compute."""


def cost_of_one(pool: Ingredients) -> NetworkCost:
    """What one network of a pool costs at the actual input."""
    return _at(pool.build(), pool.splits.test)


def _at(network: nn.Module, data: Dataset) -> NetworkCost:
    return cost_of(network, data.batch(slice(0, 1)).to(device_of(network)))


def threads_for(one: NetworkCost, batch_size: int) -> AbstractContextManager[None]:
    """One thread for small networks, whose comparison is mostly arithmetic on small tables."""
    return one_thread() if one.macs * batch_size < SMALL else nullcontext()


def cost_of_method(one: NetworkCost, seconds: float, method: str, n: int, networks: float) -> Cost:
    """The cost of a method that keeps and runs so many networks; a mean is rounded.

    Args:
        one: what a single network costs.
        seconds: wall time of 1,000 samples through it.
        method, n: of the row.
        networks: how many of them.
    """
    return Cost(
        method=method,
        n=n,
        parameters=round(networks * one.parameters),
        macs=round(networks * one.macs),
        seconds=networks * seconds,
        nbytes=round(networks * one.nbytes),
    )


class TaskCosts:
    """What methods cost that serve several tasks: bodies and heads that are kept, bodies that run.

    Args:
        tasks: all of them.
        own: names of the tensors that are each task's own.
        seconds: wall time of 1,000 samples through one network.
    """

    def __init__(self, tasks: Sequence[Task], own: Collection[str], seconds: float) -> None:
        self._each = [_at(task.network, task.splits.test) for task in tasks]
        self._heads = [
            [one for name, one in task.network.state_dict().items() if name in own]
            for task in tasks
        ]
        self._seconds = seconds

    def of(self, method: str, n: int, served: Sequence[int], *, bodies: int, forwards: int) -> Cost:
        """One row.

        Args:
            method, n: of the row.
            served: which tasks.
            bodies: how many are kept.
            forwards: evaluations of one sample.
        """
        numbers = [sum(one.numel() for one in head) for head in self._heads]
        nbytes = [sum(one.nbytes for one in head) for head in self._heads]
        first = self._each[0]
        return Cost(
            method=method,
            n=n,
            parameters=bodies * (first.parameters - numbers[0]) + sum(numbers[i] for i in served),
            macs=forwards * round(sum(self._each[i].macs for i in served) / len(served)),
            seconds=forwards * self._seconds,
            nbytes=bodies * (first.nbytes - nbytes[0]) + sum(nbytes[i] for i in served),
        )
