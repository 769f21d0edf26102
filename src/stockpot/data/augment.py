"""Random changes of training images, drawn anew for every batch.

Shapes: N images, C channels, H x W pixels.
"""

from dataclasses import dataclass
from typing import Annotated

import torch
from annotated_types import Ge, Le
from torch import Tensor

from ..fields import check_fields
from .corruptions import crops


@dataclass(frozen=True, slots=True, kw_only=True)
class Augment:
    """A random window of each padded image, and a mirror image now and then.

    Attributes:
        padding: pixels of zeros on each side before a window of the image's own size is drawn; 0
            moves nothing.
        flip: the probability of a mirror image, left for right; 0 for what must be read.

    >>> Augment(flip=0)
    Augment(padding=4, flip=0.0)
    """

    padding: Annotated[int, Ge(0), Le(512)] = 4
    flip: Annotated[float, Ge(0), Le(1)] = 0.5

    def __post_init__(self) -> None:
        check_fields(self)

    def __call__(self, images_NCHW: Tensor, generator: torch.Generator) -> Tensor:
        """New images of the same shape, type and device; the generator is on the CPU.

        How much is drawn depends on the number of images alone, so a value of the same seed gives
        the same batch on every device.
        """
        count = len(images_NCHW)
        corners_N2 = torch.randint(2 * self.padding + 1, (count, 2), generator=generator)
        mirrored_N = torch.rand(count, generator=generator) < self.flip
        seen = crops(images_NCHW, self.padding, corners_N2)
        mirrored_N = mirrored_N.to(seen.device)[:, None, None, None]
        return torch.where(mirrored_N, seen.flip(3), seen)
