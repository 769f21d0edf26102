"""What methods cost: the price of one network, so many times."""

from contextlib import AbstractContextManager, nullcontext

from ..networks import NetworkCost, cost_of
from ..networks.reproducible import one_thread
from .comparison import Cost
from .ingredients import Ingredients
from .predictions import device_of

SMALL = 2**31
"""Multiply-adds of a batch below which threads wait for each other longer than they compute."""


def cost_of_one(pool: Ingredients) -> NetworkCost:
    """What one network of a pool costs at the actual input."""
    network = pool.build()
    return cost_of(network, pool.splits.test.batch(slice(0, 1)).to(device_of(network)))


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
