"""A multilayer perceptron: the smallest network that merging says anything about.

Shapes: N samples, C channels, H x W pixels, F features.
"""

from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar, cast

from torch import Tensor, nn

from ...values.bounds import Size
from ..network import Network
from .config import NetworkConfig


@dataclass(frozen=True, slots=True, kw_only=True)
class MlpConfig(NetworkConfig):
    """A multilayer perceptron.

    Attributes:
        width: units of each hidden layer; also the number of features.
        depth: hidden layers.
    """

    written_name: ClassVar[str] = "mlp"
    width: Size = 128
    depth: Size = 2

    def build(self) -> "Mlp":
        """The network."""
        return Mlp(self)


class Mlp(Network):
    """`depth` hidden layers of `width` units with ReLU, on the flattened image."""

    def __init__(self, config: MlpConfig) -> None:
        super().__init__()
        sizes = [config.in_channels * config.image_size**2] + [config.width] * config.depth
        layers: list[nn.Module] = [nn.Flatten()]
        for inputs, outputs in pairwise(sizes):
            layers += [nn.Linear(inputs, outputs), nn.ReLU()]
        self.body = nn.Sequential(*layers)
        self.head = nn.Linear(config.width, config.num_classes)

    def features(self, images_NCHW: Tensor) -> Tensor:
        """Activations of the last hidden layer, [N, F]."""
        return cast(Tensor, self.body(images_NCHW))
