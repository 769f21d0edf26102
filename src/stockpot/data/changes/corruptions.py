"""Images made worse on purpose, in five severities: what robustness is measured with.

A corruption is a frozen value called with a Dataset, as transforms are; labels and originals are
kept. Sizes in pixels grow with the image, so that a severity means something at 8 pixels and at
224; they and the other parameters are of this package, in the spirit of the source, whose own fit
one size each.

Shapes: N samples, C channels, H x W pixels, K taps.

Source: D. Hendrycks, T. Dietterich, Benchmarking Neural Network Robustness to Common Corruptions
and Perturbations, ICLR 2019, arXiv 1903.12261.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Protocol

import torch
import torch.nn.functional as F
from annotated_types import Ge, Le
from torch import Tensor

from ...errors import FieldError
from ...values.fields import check_fields, nearest
from ..dataset import Dataset
from .pixels import changed, check_unit_range

Severity = Annotated[int, Ge(1), Le(5)]


class Corruption(Protocol):
    """What every corruption is; a larger severity is a stronger one."""

    @property
    def severity(self) -> int:
        """1 to 5."""
        ...

    def __call__(self, data: Dataset) -> Dataset:
        """The same samples, made worse."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Noise:
    """Add Gaussian noise to each pixel and clip to [0, 1].

    The deviation is 0.04, 0.08, 0.12, 0.18 or 0.26.

    Attributes:
        severity: which of them.
        seed: the same seed gives the same noise; every severity scales the same draw.
    """

    severity: Severity
    seed: int = 0

    def __post_init__(self) -> None:
        check_fields(self)

    def __call__(self, data: Dataset) -> Dataset:
        """The same samples, noisy."""
        check_unit_range(data)
        deviation = (0.04, 0.08, 0.12, 0.18, 0.26)[self.severity - 1]
        generator = torch.Generator().manual_seed(self.seed)

        def noisy(images_NCHW: Tensor) -> Tensor:
            noise_NCHW = torch.randn(images_NCHW.shape, generator=generator)
            return images_NCHW.add(noise_NCHW, alpha=deviation).clamp(0, 1)

        return changed(data, noisy)


@dataclass(frozen=True, slots=True, kw_only=True)
class Blur:
    """Blur with a Gaussian; beyond the edge, the edge's pixels repeat.

    Its deviation in pixels is 0.1, 0.15, 0.2, 0.27 or 0.35 times the square root of the shorter
    side: 1.5 to 5.2 at 224, about as the source has it there, 0.57 to 2 at 32, 0.28 to 1 at 8. Taps
    reach three deviations.

    Attributes:
        severity: which of them.
    """

    severity: Severity

    def __post_init__(self) -> None:
        check_fields(self)

    def __call__(self, data: Dataset) -> Dataset:
        """The same samples, blurred."""
        sigma = (0.1, 0.15, 0.2, 0.27, 0.35)[self.severity - 1] * math.sqrt(data.image_size)
        reach = max(1, math.ceil(3 * sigma))
        taps_K = torch.exp(-0.5 * (torch.arange(-reach, reach + 1) / sigma) ** 2)
        taps_K = taps_K / taps_K.sum()

        def blurred(images_NCHW: Tensor) -> Tensor:
            channels = images_NCHW.shape[1]
            padded = F.pad(images_NCHW, (reach, reach, reach, reach), mode="replicate")
            across = taps_K.expand(channels, 1, 1, -1)
            return F.conv2d(
                F.conv2d(padded, across, groups=channels),
                across.transpose(2, 3),
                groups=channels,
            )

        return changed(data, blurred)


@dataclass(frozen=True, slots=True, kw_only=True)
class Contrast:
    """Draw each image towards its own mean, x to mean + c (x - mean).

    c is 0.75, 0.5, 0.4, 0.3 or 0.15.

    Attributes:
        severity: which of them.
    """

    severity: Severity

    def __post_init__(self) -> None:
        check_fields(self)

    def __call__(self, data: Dataset) -> Dataset:
        """The same samples, flatter."""
        kept = (0.75, 0.5, 0.4, 0.3, 0.15)[self.severity - 1]

        def flatter(images_NCHW: Tensor) -> Tensor:
            mean_N = images_NCHW.mean(dim=(1, 2, 3), keepdim=True)
            return mean_N + kept * (images_NCHW - mean_N)

        return changed(data, flatter)


@dataclass(frozen=True, slots=True, kw_only=True)
class Translate:
    """Move each image along one of eight directions, drawn by the seed; zeros come in.

    The way is 0.04, 0.08, 0.12, 0.16 or 0.2 of the shorter side, rounded up to whole pixels, along
    a row, a column or both.

    Attributes:
        severity: which of them.
        seed: the same seed gives the same directions at every severity.
    """

    severity: Severity
    seed: int = 0

    def __post_init__(self) -> None:
        check_fields(self)

    def __call__(self, data: Dataset) -> Dataset:
        """The same samples, moved."""
        way = math.ceil((0.04, 0.08, 0.12, 0.16, 0.2)[self.severity - 1] * data.image_size)
        generator = torch.Generator().manual_seed(self.seed)
        steps = torch.tensor([(y, x) for y in (-1, 0, 1) for x in (-1, 0, 1) if y or x])

        def moved(images_NCHW: Tensor) -> Tensor:
            drawn_N = torch.randint(len(steps), (len(images_NCHW),), generator=generator)
            return crops(images_NCHW, way, way + way * steps[drawn_N])

        return changed(data, moved)


def crops(images_NCHW: Tensor, padding: int, corners_N2: Tensor) -> Tensor:
    """Windows of the images' own size out of images padded with zeros on every side.

    Args:
        images_NCHW: the images.
        padding: pixels of zeros on each side.
        corners_N2: each window's first row and column, in [0, 2 padding].
    """
    count, _, height, width = images_NCHW.shape
    padded = F.pad(images_NCHW, (padding, padding, padding, padding))
    corners_N2 = corners_N2.to(images_NCHW.device)
    place = torch.arange(count, device=images_NCHW.device)[:, None, None]
    rows_NH = corners_N2[:, :1] + torch.arange(height, device=images_NCHW.device)
    columns_NW = corners_N2[:, 1:] + torch.arange(width, device=images_NCHW.device)
    # indices apart by a slice put their dimensions first: [N, H, W, C]
    windows_NHWC = padded[place, :, rows_NH[:, :, None], columns_NW[:, None, :]]
    return windows_NHWC.permute(0, 3, 1, 2).contiguous()


CORRUPTIONS: Mapping[str, type[Noise] | type[Blur] | type[Contrast] | type[Translate]] = {
    "noise": Noise,
    "blur": Blur,
    "contrast": Contrast,
    "shift": Translate,
}
"""Every corruption by its name."""


def corruption(name: str, severity: int) -> Corruption:
    """A corruption by its name.

    Raises:
        FieldError: for an unknown name, or a severity that is not 1 to 5.

    >>> corruption("blur", 3)
    Blur(severity=3)
    """
    if name not in CORRUPTIONS:
        raise FieldError(f"there is no corruption '{name[:80]}'{nearest(name, CORRUPTIONS)}")
    return CORRUPTIONS[name](severity=severity)
