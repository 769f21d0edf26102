"""Where the head of a network begins, for networks that need no looking."""

from torch import nn

from ...errors import StockpotError
from ...networks import Headed, Network


def with_head(network: nn.Module) -> Headed:
    """The split of a built-in network, which is features and a head by construction.

    Raises:
        StockpotError: for any other network: its head has to be found first.
    """
    if isinstance(network, Network):
        return Headed(network, network.head)
    raise StockpotError(
        f"where the head of this {type(network).__name__} begins is not known: give `headed=`, a "
        "function that splits it, such as networks.headed on a batch."
    )
