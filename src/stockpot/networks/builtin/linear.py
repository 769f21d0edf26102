"""A linear classifier: each row of its weights is the template of a class.

Shapes: N samples, C channels, H x W pixels, F features.
"""

from torch import Tensor, nn

from ...values.bounds import Size
from ..network import Network


class LinearClassifier(Network):
    """One linear layer on the flattened image.

    Args:
        num_classes: outputs of the head.
        in_channels: channels of an image.
        image_size: pixels along a side.
    """

    def __init__(self, *, num_classes: Size, in_channels: Size, image_size: Size) -> None:
        super().__init__()
        self.head = nn.Linear(in_channels * image_size**2, num_classes)

    def features(self, images_NCHW: Tensor) -> Tensor:
        """The pixels, [N, F]."""
        return images_NCHW.flatten(1)
