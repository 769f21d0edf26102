"""What a built-in network is: features, then a head.

Shapes: N samples, C channels, H x W pixels, F features, L classes.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import Any, cast

from torch import Tensor, nn

from ..errors import StockpotError


class Network(nn.Module, ABC):
    """A classifier whose output is `head(features(images))`, by construction.

    Ensembles of features and merges of bodies with private heads rely on that split, so `forward`
    is written once, here, and a subclass says only what its features are.
    """

    head: nn.Linear

    @abstractmethod
    def features(self, images_NCHW: Tensor) -> Tensor:
        """What the head sees, [N, F]."""

    def forward(self, images_NCHW: Tensor) -> Tensor:
        """Logits, [N, L]."""
        return self.head(self.features(images_NCHW))


def parts(network: nn.Module) -> dict[str, nn.Module]:
    """Each module within a network, itself under the empty name, in order."""
    return dict(cast(Iterable[tuple[str, nn.Module]], cast(Any, network).named_modules()))


def require_evaluation_mode(network: nn.Module, what: str) -> None:
    """Dropout and batch statistics must not take part in what is measured.

    Raises:
        StockpotError: naming the first module that is in training mode.
    """
    for name, module in parts(network).items():
        if module.training:
            raise StockpotError(
                f"{what}: '{name or type(network).__name__}' is in training mode, where dropout "
                "and batch statistics change the result: call network.eval() first."
            )
