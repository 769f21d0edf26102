"""The small residual networks of CIFAR: three stages of 3 x 3 convolutions, two per block.

Shapes: N samples, C channels, H x W pixels, F features.
Source: K. He et al., Deep Residual Learning for Image Recognition, arXiv 1512.03385, section 4.2.
"""

from dataclasses import dataclass
from typing import ClassVar, Literal, cast

import torch.nn.functional as F
from torch import Tensor, nn

from ...errors import FieldError
from ...values.bounds import Below1, Size
from ..network import Network
from .config import NetworkConfig

Norm = Literal["batch", "group"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ResNetConfig(NetworkConfig):
    """A residual network for images of at least 4 pixels along a side; its name says the depth.

    Attributes:
        width: channels of the first stage, a multiple of 4; four times as many are features.
        norm: batch keeps statistics, which a merge must estimate again; group (4 groups) has none.
        dropout: probability with which training leaves out each feature before the head.
    """

    depth: ClassVar[int]
    """Layers with weights, 6n + 2."""
    width: Size = 16
    norm: Norm = "batch"
    dropout: Below1 = 0.0

    def check(self) -> None:
        """Refuse what does not go together."""
        if self.image_size < 4 or self.width % 4:
            raise FieldError(
                "image_size must be at least 4 and width a multiple of 4; got "
                f"image_size={self.image_size}, width={self.width}."
            )

    def build(self) -> "ResNet":
        """The network."""
        return ResNet(self)


class ResNet8Config(ResNetConfig):
    """Of 8 layers."""

    written_name, depth = "resnet-8", 8


class ResNet14Config(ResNetConfig):
    """Of 14 layers."""

    written_name, depth = "resnet-14", 14


class ResNet20Config(ResNetConfig):
    """Of 20 layers."""

    written_name, depth = "resnet-20", 20


class ResNet32Config(ResNetConfig):
    """Of 32 layers."""

    written_name, depth = "resnet-32", 32


class ResNet(Network):
    """A convolution, three stages of (depth - 2) / 6 blocks each, and the mean over the image."""

    def __init__(self, config: ResNetConfig) -> None:
        super().__init__()
        width, norm, dropout = config.width, config.norm, config.dropout
        layers: list[nn.Module] = [*_convolution(config.in_channels, width, 1, norm), nn.ReLU()]
        inputs = width
        for outputs in (width, 2 * width, 4 * width):
            for _ in range((config.depth - 2) // 6):
                layers.append(_Block(inputs, outputs, norm))
                inputs = outputs
        layers += [nn.AdaptiveAvgPool2d(1), nn.Flatten()]
        self.body = nn.Sequential(*layers, *([nn.Dropout(dropout)] if dropout else []))
        self.head = nn.Linear(4 * width, config.num_classes)

    def features(self, images_NCHW: Tensor) -> Tensor:
        """The last feature maps averaged over the image, [N, F]."""
        return cast(Tensor, self.body(images_NCHW))


class _Block(nn.Module):
    """relu(f(x) + x); where channels grow, the image is halved and x padded with zero channels."""

    def __init__(self, inputs: int, outputs: int, norm: Norm) -> None:
        super().__init__()
        self.stride, self.new = (1, 0) if inputs == outputs else (2, outputs - inputs)
        first = _convolution(inputs, outputs, self.stride, norm)
        self.path = nn.Sequential(*first, nn.ReLU(), *_convolution(outputs, outputs, 1, norm))

    def forward(self, x_NCHW: Tensor) -> Tensor:
        kept_NCHW = x_NCHW[:, :, :: self.stride, :: self.stride]
        return F.relu(self.path(x_NCHW) + F.pad(kept_NCHW, (0, 0, 0, 0, 0, self.new)))


def _convolution(inputs: int, outputs: int, stride: int, norm: Norm) -> tuple[nn.Module, nn.Module]:
    return (
        nn.Conv2d(inputs, outputs, kernel_size=3, stride=stride, padding=1, bias=False),
        nn.BatchNorm2d(outputs) if norm == "batch" else nn.GroupNorm(4, outputs),
    )
