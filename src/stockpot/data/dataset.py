"""Labelled images in memory: what networks are trained and judged on.

Shapes: N samples, C channels, H x W pixels, K chosen samples.
"""

import hashlib
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ..errors import StockpotError


@dataclass(frozen=True, slots=True, eq=False)
class Dataset:
    """N labelled images, and which of them are views of one original.

    Attributes:
        name: what a table or a file calls it.
        images: float32 [N, C, H, W], finite, usually in [0, 1].
        labels: int64 [N], classes in [0, num_classes).
        num_classes: how many classes there are, also where a subset does not hold them all.
        originals: int64 [N]; samples with the same number are views of one original. Intervals
            resample originals, because two views of one image do not err independently.

    Raises:
        StockpotError: where shapes, types or labels do not fit together.
    """

    name: str
    images: Tensor
    labels: Tensor
    num_classes: int
    originals: Tensor

    def __post_init__(self) -> None:
        images, count = self.images, len(self.labels)
        if images.ndim != 4 or len(images) != count or len(self.originals) != count:
            raise StockpotError(
                f"data '{self.name}': images must be [N, C, H, W] with one label and one original "
                f"each; got {tuple(images.shape)}, {count} labels, {len(self.originals)} "
                "originals."
            )
        if images.dtype != torch.float32 or not bool(images.isfinite().all()):
            raise StockpotError(
                f"data '{self.name}': images must be finite float32; got {images.dtype}."
            )
        if count and not 0 <= int(self.labels.min()) <= int(self.labels.max()) < (self.num_classes):
            raise StockpotError(
                f"data '{self.name}': labels must lie in [0, {self.num_classes}); got "
                f"{int(self.labels.min())} to {int(self.labels.max())}."
            )

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def in_channels(self) -> int:
        """Channels of an image."""
        return self.images.shape[1]

    @property
    def image_size(self) -> int:
        """Pixels along the shorter side."""
        return min(self.images.shape[2:])

    def take(self, index_K: Tensor) -> "Dataset":
        """The samples at these positions, in this order."""
        return replace(
            self,
            images=self.images[index_K],
            labels=self.labels[index_K],
            originals=self.originals[index_K],
        )

    def with_images(self, images_NCHW: Tensor) -> "Dataset":
        """The same samples seen differently: new images, labels and originals kept."""
        return replace(self, images=images_NCHW)


def content_hashes(data: Dataset) -> list[str]:
    """One digest per image, of its shape and pixels; labels do not count."""
    shape = str(tuple(data.images.shape[1:])).encode()
    return [
        hashlib.sha256(shape + image.contiguous().numpy().tobytes()).hexdigest()
        for image in data.images
    ]
