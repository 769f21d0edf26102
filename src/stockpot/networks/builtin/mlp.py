"""A multilayer perceptron: the smallest network that merging says anything about.

Shapes: N samples, C channels, H x W pixels, F features.
"""

from itertools import pairwise
from typing import cast

from torch import Tensor, nn

from ...values.bounds import Size
from ..network import Network


class Mlp(Network):
    """`depth` hidden layers of `width` units with ReLU, on the flattened image.

    Args:
        num_classes: outputs of the head.
        in_channels: channels of an image.
        image_size: pixels along a side.
        width: units of each hidden layer; also the number of features.
        depth: hidden layers.
    """

    def __init__(
        self,
        *,
        num_classes: Size,
        in_channels: Size,
        image_size: Size,
        width: Size = 128,
        depth: Size = 2,
    ) -> None:
        super().__init__()
        sizes = [in_channels * image_size**2] + [width] * depth
        layers: list[nn.Module] = [nn.Flatten()]
        for inputs, outputs in pairwise(sizes):
            layers += [nn.Linear(inputs, outputs), nn.ReLU()]
        self.body = nn.Sequential(*layers)
        self.head = nn.Linear(width, num_classes)

    def features(self, images_NCHW: Tensor) -> Tensor:
        """Activations of the last hidden layer, [N, F]."""
        return cast(Tensor, self.body(images_NCHW))
