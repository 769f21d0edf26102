"""A small convolutional network with group normalisation, so a merge has no statistics to mend.

Shapes: N samples, C channels, H x W pixels, F features.
"""

from typing import cast

from torch import Tensor, nn

from ...errors import StockpotError
from ...values.bounds import Size
from ..network import Network


class Cnn(Network):
    """Three 3 x 3 convolutions, halving the image once, pooled to a 2 x 2 layout.

    Args:
        num_classes: outputs of the head.
        in_channels: channels of an image.
        image_size: pixels along a side, at least 4.
        width: channels of the first convolution, a multiple of 4; the next ones have twice and
            four times as many, and the head sees 16 times as many features.
    """

    def __init__(
        self, *, num_classes: Size, in_channels: Size, image_size: Size, width: Size = 16
    ) -> None:
        super().__init__()
        if image_size < 4 or width % 4:
            raise StockpotError(
                "cnn: image_size must be at least 4 and width a multiple of 4; got "
                f"image_size={image_size}, width={width}."
            )
        self.body = nn.Sequential(
            _convolution(in_channels, width),
            _convolution(width, 2 * width),
            nn.MaxPool2d(2),
            _convolution(2 * width, 4 * width),
            nn.AdaptiveAvgPool2d(2),
            nn.Flatten(),
        )
        self.head = nn.Linear(16 * width, num_classes)

    def features(self, images_NCHW: Tensor) -> Tensor:
        """The last feature maps, averaged over each quarter of the image, [N, F]."""
        return cast(Tensor, self.body(images_NCHW))


def _convolution(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel_size=3, padding=1), nn.GroupNorm(4, outputs), nn.ReLU()
    )
