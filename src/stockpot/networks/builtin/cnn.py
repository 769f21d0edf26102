"""A small convolutional network with group normalisation, so a merge has no statistics to mend.

Shapes: N samples, C channels, H x W pixels, F features.
"""

from dataclasses import dataclass
from typing import ClassVar, cast

from torch import Tensor, nn

from ...errors import FieldError
from ...values.bounds import Size
from ..network import Network
from .config import NetworkConfig


@dataclass(frozen=True, slots=True, kw_only=True)
class CnnConfig(NetworkConfig):
    """A small convolutional network for images of at least 4 pixels along a side.

    Attributes:
        width: channels of the first convolution, a multiple of 4; the next ones have twice and
            four times as many, and the head sees 16 times as many features.
    """

    written_name: ClassVar[str] = "cnn"
    width: Size = 16

    def check(self) -> None:
        """Refuse what does not go together."""
        if self.image_size < 4 or self.width % 4:
            raise FieldError(
                "image_size must be at least 4 and width a multiple of 4; got "
                f"image_size={self.image_size}, width={self.width}."
            )

    def build(self) -> "Cnn":
        """The network."""
        return Cnn(self)


class Cnn(Network):
    """Three 3 x 3 convolutions, halving the image once, pooled to a 2 x 2 layout."""

    def __init__(self, config: CnnConfig) -> None:
        super().__init__()
        width = config.width
        self.body = nn.Sequential(
            _convolution(config.in_channels, width),
            _convolution(width, 2 * width),
            nn.MaxPool2d(2),
            _convolution(2 * width, 4 * width),
            nn.AdaptiveAvgPool2d(2),
            nn.Flatten(),
        )
        self.head = nn.Linear(16 * width, config.num_classes)

    def features(self, images_NCHW: Tensor) -> Tensor:
        """The last feature maps, averaged over each quarter of the image, [N, F]."""
        return cast(Tensor, self.body(images_NCHW))


def _convolution(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel_size=3, padding=1), nn.GroupNorm(4, outputs), nn.ReLU()
    )
