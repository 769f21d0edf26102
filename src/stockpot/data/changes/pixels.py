"""Changing the images of a data set, a slice at a time, in the type that they are held in.

Shapes: N samples, C channels, H x W pixels.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from ...errors import StockpotError
from ..dataset import Dataset

SLICE = 1024
"""Images that are float32 at once. What is drawn by a seed depends on it: it is part of results."""


def check_unit_range(data: Dataset) -> None:
    """Refuse images whose scale is not [0, 1], where that scale is meant.

    Raises:
        StockpotError: naming the range found.
    """
    if data.inputs.dtype == torch.float32 and len(data):
        low, high = float(data.inputs.min()), float(data.inputs.max())
        if low < 0 or high > 1:
            raise StockpotError(
                f"'{data.name}' has pixels from {low:g} to {high:g}; noise and inversion need "
                "them in [0, 1]: let the network normalise them instead."
            )


def changed(data: Dataset, change: Callable[[Tensor], Tensor]) -> Dataset:
    """The same samples with other images.

    Args:
        data: images, of bytes or float32.
        change: gets float32 images [n, C, H, W], in [0, 1] where they are held as bytes, and gives
            as many of one size; what is held as bytes is rounded to bytes again.

    Raises:
        StockpotError: for texts.
    """
    if data.is_text:
        raise StockpotError(f"'{data.name}' holds texts, and only images can be changed so.")
    images: list[Tensor] = []
    for start in range(0, len(data), SLICE):
        seen = change(data.batch(slice(start, start + SLICE)))
        if data.inputs.dtype == torch.uint8:
            seen = seen.mul(255).round_().clamp_(0, 255).to(torch.uint8)
        images.append(seen)
    return data.with_images(torch.cat(images)) if images else data
