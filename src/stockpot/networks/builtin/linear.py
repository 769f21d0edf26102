"""A linear classifier: each row of its weights is the template of a class.

Shapes: N samples, C channels, H x W pixels, F features.
"""

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor, nn

from ..network import Network
from .config import NetworkConfig


@dataclass(frozen=True, slots=True, kw_only=True)
class LinearConfig(NetworkConfig):
    """A linear classifier of the pixels."""

    written_name: ClassVar[str] = "linear"

    def build(self) -> "LinearClassifier":
        """The network."""
        return LinearClassifier(self)


class LinearClassifier(Network):
    """One linear layer on the flattened image."""

    def __init__(self, config: LinearConfig) -> None:
        super().__init__()
        self.head = nn.Linear(config.in_channels * config.image_size**2, config.num_classes)

    def features(self, images_NCHW: Tensor) -> Tensor:
        """The pixels, [N, F]."""
        return images_NCHW.flatten(1)
