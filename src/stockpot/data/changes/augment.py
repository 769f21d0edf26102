"""Random changes to the images of a batch, so that no epoch shows the same picture twice.

Shapes: B samples of a batch, C channels, H x W pixels.
"""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from ...values.bounds import Below1, Degrees, NotNegative, Share
from ...values.section import Section


@dataclass(frozen=True, slots=True, kw_only=True)
class Augment(Section):
    """Each image is turned, scaled, moved and mirrored, then noised, then a square is erased.

    Draws come from torch's CPU generator for every device, so that a seed gives the same changes
    everywhere. What enters from outside the image is 0.

    Attributes:
        flip: probability of a mirror image, left for right.
        shift: at most this fraction of the side, each way, uniform.
        rotate: at most this many degrees, each way, uniform.
        scale: the side is divided by a uniform number in [1 - scale, 1 + scale].
        noise: standard deviation of a Gaussian added to each pixel.
        erase: side of a square set to 0, as a fraction of the image's, at a uniform centre.
    """

    flip: Share = 0.0
    shift: Below1 = 0.0
    rotate: Degrees = 0.0
    scale: Below1 = 0.0
    noise: NotNegative = 0.0
    erase: Below1 = 0.0

    def __call__(self, images_BCHW: Tensor) -> Tensor:
        """The batch, changed; the same shape, dtype and device."""
        if self.flip or self.shift or self.rotate or self.scale:
            images_BCHW = self._moved(images_BCHW)
        if self.noise:
            noise_BCHW = torch.randn(images_BCHW.shape) * self.noise
            images_BCHW = images_BCHW + noise_BCHW.to(images_BCHW)
        return self._erased(images_BCHW) if self.erase else images_BCHW

    def _moved(self, images_BCHW: Tensor) -> Tensor:
        """One affine map of the plane per image, sampled bilinearly."""
        count = len(images_BCHW)
        angle_B = _uniform(count, math.radians(self.rotate))
        scale_B = 1 + _uniform(count, self.scale)
        mirror_B = 1 - 2 * (torch.rand(count) < self.flip).float()
        shift_B2 = 2 * _uniform((count, 2), self.shift)  # the grid runs from -1 to 1
        cosine_B, sine_B = scale_B * angle_B.cos(), scale_B * angle_B.sin()
        rows = (
            torch.stack([mirror_B * cosine_B, -mirror_B * sine_B, shift_B2[:, 0]], dim=1),
            torch.stack([sine_B, cosine_B, shift_B2[:, 1]], dim=1),
        )
        maps_B23 = torch.stack(rows, dim=1).to(images_BCHW)
        grid = F.affine_grid(maps_B23, list(images_BCHW.shape), align_corners=False)
        return F.grid_sample(images_BCHW, grid, align_corners=False)

    def _erased(self, images_BCHW: Tensor) -> Tensor:
        height, width = images_BCHW.shape[2:]
        centre_B2 = torch.rand(len(images_BCHW), 2)
        rows_BH = ((_centres(height) - centre_B2[:, :1]).abs() < self.erase / 2)[:, :, None]
        columns_BW = ((_centres(width) - centre_B2[:, 1:]).abs() < self.erase / 2)[:, None, :]
        kept_B1HW = ~(rows_BH & columns_BW)[:, None]
        return images_BCHW * kept_B1HW.to(images_BCHW)


def _uniform(shape: int | tuple[int, ...], most: float) -> Tensor:
    """Uniform in [-most, most]."""
    return (2 * torch.rand(shape) - 1) * most


def _centres(pixels: int) -> Tensor:
    """Of each pixel, on a side from 0 to 1."""
    return (torch.arange(pixels) + 0.5) / pixels
