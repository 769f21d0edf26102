"""Views of a data set that make a task of their own: turned, moved, inverted, resized.

A transform is a frozen value called with a Dataset; it prints, compares and goes into a file.
Labels and originals are kept, so views of one image stay in the split that the image is in.

Shapes: N samples, C channels, H x W pixels.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated

import torch
import torch.nn.functional as F
from annotated_types import Ge, Le
from torch import Tensor

from ...errors import FieldError, StockpotError
from ...values.fields import check_fields
from ..dataset import Dataset
from .pixels import changed, check_unit_range

Transform = Callable[[Dataset], Dataset]


@dataclass(frozen=True, slots=True, kw_only=True)
class Resize:
    """Bring the middle square of each image to another size, bilinear with antialiasing.

    Attributes:
        size: pixels along a side.
    """

    size: Annotated[int, Ge(1), Le(4096)]

    def __post_init__(self) -> None:
        check_fields(self)

    def __call__(self, data: Dataset) -> Dataset:
        """The same samples, larger or smaller; as they are where they have that size."""
        if not data.is_text and tuple(data.inputs.shape[2:]) == (self.size, self.size):
            return data

        def resized(images_NCHW: Tensor) -> Tensor:
            height, width = images_NCHW.shape[2:]
            side = min(height, width)
            top, left = (height - side) // 2, (width - side) // 2
            square_NCHW = images_NCHW[:, :, top : top + side, left : left + side]
            size = (self.size, self.size)
            return F.interpolate(square_NCHW, size, mode="bilinear", antialias=True)

        return changed(data, resized)


@dataclass(frozen=True, slots=True, kw_only=True)
class Channels:
    """Make images grey, or give grey ones three equal channels.

    Grey is 0.299 red + 0.587 green + 0.114 blue.

    Attributes:
        count: 1 or 3.
    """

    count: int

    def __post_init__(self) -> None:
        if type(self.count) is not int or self.count not in (1, 3):
            raise FieldError(f"channels: count must be 1 or 3; got {self.count!r:.80}.")

    def __call__(self, data: Dataset) -> Dataset:
        """The same samples; as they are where they have so many channels.

        Raises:
            StockpotError: for images of neither 1 nor 3 channels.
        """
        if not data.is_text and data.in_channels == self.count:
            return data
        if not data.is_text and data.in_channels not in (1, 3):
            raise StockpotError(
                f"'{data.name}' has images of {data.in_channels} channels, not of 1 or 3."
            )
        if self.count == 3:
            return changed(data, lambda images_NCHW: images_NCHW.expand(-1, 3, -1, -1).clone())
        weights_C11 = torch.tensor([0.299, 0.587, 0.114])[:, None, None]
        return changed(data, lambda images_NCHW: (images_NCHW * weights_C11).sum(1, keepdim=True))


@dataclass(frozen=True, slots=True, kw_only=True)
class Rotate:
    """Turn each image about its centre, bilinear, zeros from outside.

    Attributes:
        degrees: anticlockwise as the image is seen; negative turns the other way.
    """

    degrees: Annotated[float, Ge(-360), Le(360)]

    def __post_init__(self) -> None:
        check_fields(self)

    def __call__(self, data: Dataset) -> Dataset:
        """The same samples, turned."""
        angle = math.radians(self.degrees)
        cosine, sine = math.cos(angle), math.sin(angle)
        turn = torch.tensor([[cosine, -sine, 0.0], [sine, cosine, 0.0]])

        def turned(images_NCHW: Tensor) -> Tensor:
            grid_NHWX = F.affine_grid(
                turn.expand(len(images_NCHW), 2, 3), list(images_NCHW.shape), align_corners=False
            )
            return F.grid_sample(images_NCHW, grid_NHWX, align_corners=False)

        return changed(data, turned)


@dataclass(frozen=True, slots=True, kw_only=True)
class Shift:
    """Move each image by whole pixels; what leaves is lost, zeros come in.

    Attributes:
        right: pixels to the right; negative moves left.
        down: pixels down; negative moves up.
    """

    right: int = 0
    down: int = 0

    def __post_init__(self) -> None:
        check_fields(self)

    def __call__(self, data: Dataset) -> Dataset:
        """The same samples, moved."""
        pad = (self.right, -self.right, self.down, -self.down)  # a negative pad crops
        return changed(data, lambda images_NCHW: F.pad(images_NCHW, pad))


@dataclass(frozen=True, slots=True)
class Invert:
    """Light for dark: each pixel of [0, 1] becomes one minus itself."""

    def __call__(self, data: Dataset) -> Dataset:
        """The same samples, inverted."""
        check_unit_range(data)
        return changed(data, lambda images_NCHW: 1 - images_NCHW)
