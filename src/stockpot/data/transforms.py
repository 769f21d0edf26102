"""Views of a data set that make a task of their own: turned, moved, inverted, skewed in classes.

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

from ..errors import FieldError
from ..fields import check_fields
from .dataset import Dataset

Transform = Callable[[Dataset], Dataset]


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
        images_NCHW = data.images
        angle = math.radians(self.degrees)
        cosine, sine = math.cos(angle), math.sin(angle)
        turn = torch.tensor([[cosine, -sine, 0.0], [sine, cosine, 0.0]])
        grid_NHWX = F.affine_grid(
            turn.expand(len(images_NCHW), 2, 3), list(images_NCHW.shape), align_corners=False
        )
        return data.with_images(F.grid_sample(images_NCHW, grid_NHWX, align_corners=False))


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
        return data.with_images(F.pad(data.images, pad))


@dataclass(frozen=True, slots=True)
class Invert:
    """Light for dark: each pixel of [0, 1] becomes one minus itself."""

    def __call__(self, data: Dataset) -> Dataset:
        """The same samples, inverted."""
        return data.with_images(1 - data.images)


@dataclass(frozen=True, slots=True, kw_only=True)
class Skew:
    """Keep every sample of some classes and a random fraction of the others.

    Attributes:
        classes: the classes kept whole.
        keep: fraction of each sample of another class being kept, in [0, 1]; 1 keeps everything.
        seed: the same seed keeps the same samples.
    """

    classes: tuple[int, ...]
    keep: float = 0.1
    seed: int = 0

    def __post_init__(self) -> None:
        if not self.classes or not 0 <= self.keep <= 1:
            raise FieldError(
                "skew: classes must name at least one class and keep must be in [0, 1]; got "
                f"classes={self.classes}, keep={self.keep}."
            )

    def __call__(self, data: Dataset) -> Dataset:
        """Fewer samples, unchanged."""
        unknown = [one for one in self.classes if not 0 <= one < data.num_classes]
        if unknown:
            raise FieldError(
                f"skew: '{data.name}' has classes 0 to {data.num_classes - 1}; got {unknown}."
            )
        generator = torch.Generator().manual_seed(self.seed)
        lucky_N = torch.rand(len(data), generator=generator) < self.keep
        whole_N = torch.isin(data.labels, torch.tensor(self.classes))
        return data.take((whole_N | lucky_N).nonzero().flatten())
