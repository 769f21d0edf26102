"""What methods cost: the price of each task's network, so many times."""

from collections.abc import Collection, Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

from torch import Tensor, nn

from ...data import Dataset
from ...networks import NetworkCost, cost_of
from ...running.executor import one_thread
from ..predictions.predict import device_of
from ..results.comparison import Cost

SMALL = 2**31
"""Multiply-adds of a batch below which threads wait for each other longer than they compute."""


@dataclass(frozen=True, slots=True)
class TaskPrice:
    """What one task's network costs at the actual input, and its own tensors alone.

    Attributes:
        network: all of it.
        own_parameters, own_nbytes: of the tensors that no other task shares, such as its head's.
    """

    network: NetworkCost
    own_parameters: int = 0
    own_nbytes: int = 0


def price_of(network: nn.Module, data: Dataset, own: Collection[str] = ()) -> TaskPrice:
    """The price of a network on one sample of the data; `own` names its own tensors."""
    state: dict[str, Tensor] = network.state_dict()
    mine = [tensor for name, tensor in state.items() if name in own]
    sample = data.batch(slice(0, 1)).to(device_of(network))
    return TaskPrice(
        cost_of(network, sample),
        sum(one.numel() for one in mine),
        sum(one.nbytes for one in mine),
    )


def threads_for(one: NetworkCost, batch_size: int) -> AbstractContextManager[None]:
    """One thread for small networks, whose comparison is mostly arithmetic on small tables."""
    return one_thread() if one.macs * batch_size < SMALL else nullcontext()


@dataclass(frozen=True, slots=True)
class Prices:
    """What methods cost: bodies that are kept and run, and each served task's own tensors.

    Attributes:
        tasks: the price of each.
        seconds: wall time of 1,000 samples through one network.
    """

    tasks: Sequence[TaskPrice]
    seconds: float

    def cost(
        self, method: str, n: int, served: Iterable[int], *, bodies: float, forwards: float
    ) -> Cost:
        """One row; a mean number of bodies or evaluations gives rounded costs.

        Args:
            method, n: of the row.
            served: which tasks.
            bodies: how many are kept.
            forwards: evaluations of one sample.
        """
        first, mine = self.tasks[0], [self.tasks[i] for i in served]
        macs = round(sum(one.network.macs for one in mine) / len(mine))
        shared = first.network.parameters - first.own_parameters
        shared_nbytes = first.network.nbytes - first.own_nbytes
        return Cost(
            method=method,
            n=n,
            parameters=round(bodies * shared) + sum(one.own_parameters for one in mine),
            macs=round(forwards * macs),
            seconds=forwards * self.seconds,
            nbytes=round(bodies * shared_nbytes) + sum(one.own_nbytes for one in mine),
        )
