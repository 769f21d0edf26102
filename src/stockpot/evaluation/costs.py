"""What methods cost: the price of one network, so many times."""

from ..networks import NetworkCost
from .comparison import Cost


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
