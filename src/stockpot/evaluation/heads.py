"""Where a network's body ends and its head begins, for whoever needs both from one forward pass.

Shapes: N samples, F features, L classes.
"""

from dataclasses import dataclass
from typing import Protocol

from torch import Tensor, nn

from ..errors import StockpotError
from ..networks import Network


class HasHead(Protocol):
    """A network that is known to be `head(features(inputs))`."""

    @property
    def network(self) -> nn.Module:
        """The whole network."""
        ...

    @property
    def head(self) -> nn.Module:
        """Its last part, from features to logits."""
        ...

    def run(self, inputs: Tensor) -> tuple[Tensor, Tensor]:
        """Logits [N, L] and the features [N, F] that the head saw, in one forward pass."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class BuiltIn:
    """A built-in network, which is features and a head by construction."""

    network: Network

    @property
    def head(self) -> nn.Module:
        """Its last linear layer."""
        return self.network.head

    def run(self, inputs: Tensor) -> tuple[Tensor, Tensor]:
        """Logits and features in one forward pass."""
        features_NF = self.network.features(inputs)
        return self.network.head(features_NF), features_NF


def with_head(network: nn.Module) -> HasHead:
    """The split of a built-in network.

    Raises:
        StockpotError: for any other network: its head has to be found first.
    """
    if isinstance(network, Network):
        return BuiltIn(network)
    raise StockpotError(
        f"where the head of this {type(network).__name__} begins is not known: give `headed=`, a "
        "function that splits it."
    )
