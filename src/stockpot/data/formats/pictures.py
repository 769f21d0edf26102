"""Image files as one tensor of bytes.

Shapes: N images, C channels, H x W pixels.
"""

import warnings
from collections.abc import Sequence
from contextlib import nullcontext
from io import BytesIO
from pathlib import Path
from threading import Lock
from typing import Annotated, Any, Literal

import numpy as np
import numpy.typing as npt
import torch
from annotated_types import Ge, Le
from torch import Tensor

from ...errors import StockpotError
from ...files import read_file
from ...libraries import optional
from ...running.executor import in_order, workers_for
from ...typed import to_numpy
from .bounds import check_memory
from .sources import damaged

Size = Annotated[int, Ge(1), Le(4096)]
"""Pixels along a side."""

Channels = Literal[1, 3]
"""1 for grey, 3 for colour."""

FORMATS = ("BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP")
"""What is read; among pillow's other formats are some that start programs."""

LARGEST_FILE = 2**28
"""Bytes of one image file."""

MOST_PIXELS = 2**26
"""Pixels of one image; cameras make 2**24 to 2**26."""

LARGE = 2**24
"""An image of more pixels is decoded alone, so that no more than one takes memory."""

WHOLE = {"1", "L", "LA", "P", "PA", "RGB", "RGBA", "La", "RGBa", "CMYK", "YCbCr", "HSV"}
"""pillow's modes of 8 bits a channel. Others (16 bits, floats) have no meaning as bytes."""

_ALONE = Lock()

BATCH = 64
"""Images that a worker decodes in a row."""


def read_images(
    name: str, sources: Sequence[Path | bytes], *, size: int | None, channels: int
) -> Tensor:
    """All images as uint8 [N, C, H, W].

    What is transparent is laid on white. With a size, the shorter side is brought to it, bilinear
    with antialiasing, and the middle square is kept; without, all images must have one size.

    Args:
        name: the data set, for messages.
        sources: files, or the contents of files.
        size: pixels along a side of the result, or None.
        channels: 1 for grey, 3 for colour.

    Raises:
        StockpotError: naming the first image that cannot be read or has another size.
        ExtraError: without pillow.
    """
    pillow = optional("PIL.Image")
    if not sources:
        raise StockpotError(f"data '{name}' holds no image.")
    with warnings.catch_warnings():
        warnings.simplefilter("error", pillow.DecompressionBombWarning)
        first = _read(name, sources, 0, size, channels)
        check_memory(name, len(sources), first.shape)
        images_NCHW = torch.empty((len(sources), *first.shape), dtype=torch.uint8)
        rows = to_numpy(images_NCHW)

        def fill(start: int) -> None:
            for index in range(start, min(start + BATCH, len(sources))):
                image = _read(name, sources, index, size, channels)
                if image.shape != first.shape:
                    raise StockpotError(
                        f"data '{name}': image {index} has {image.shape[1:]} pixels, the first has "
                        f"{first.shape[1:]}: give a size to bring them to, such as size: 64."
                    )
                rows[index] = image

        # pillow decodes outside the interpreter's lock
        in_order(fill, range(0, len(sources), BATCH), workers=workers_for(None))
    return images_NCHW


def resized(images: npt.NDArray[np.uint8], size: int) -> npt.NDArray[np.uint8]:
    """Images in memory brought to a size as `read_images` brings files; uint8 [N, C, size, size].

    Args:
        images: uint8 [N, H, W] or [N, H, W, 3].
        size: pixels along a side of the result.

    Raises:
        ExtraError: without pillow.
    """
    pillow = optional("PIL.Image")
    return np.stack([_array(_fitted(pillow.fromarray(one), size)) for one in images])


def _read(
    name: str, sources: Sequence[Path | bytes], index: int, size: int | None, channels: int
) -> npt.NDArray[np.uint8]:
    """One image, [C, H, W]."""
    pillow = optional("PIL.Image")
    source = sources[index]
    what = str(source) if isinstance(source, Path) else f"image {index}"
    try:
        content = read_file(source, LARGEST_FILE) if isinstance(source, Path) else source
        with pillow.open(BytesIO(content), formats=FORMATS) as image:
            if image.mode not in WHOLE:
                raise ValueError(f"has pixels of mode {image.mode}, not of 8 bits a channel")
            pixels = image.width * image.height
            if pixels > MOST_PIXELS:
                raise ValueError(f"has {pixels:,} pixels, more than {MOST_PIXELS:,}")
            with _ALONE if pixels > LARGE else nullcontext():
                return _array(_fitted(_flat(image, channels), size))
    except FileNotFoundError:
        raise StockpotError(f"data '{name}': the image {what} is not there.") from None
    except Exception as error:  # pillow's formats raise whatever their bytes make of them
        raise damaged(name, what, f"is no image to read ({str(error)[:120]})") from None


def _flat(image: Any, channels: int) -> Any:
    mode = "L" if channels == 1 else "RGB"
    if not image.has_transparency_data:
        return image.convert(mode)
    above = image.convert("RGBA")
    pillow = optional("PIL.Image")
    return pillow.alpha_composite(pillow.new("RGBA", above.size, "white"), above).convert(mode)


def _fitted(image: Any, size: int | None) -> Any:
    if size is None or image.size == (size, size):
        return image
    pillow = optional("PIL.Image")
    width, height = image.size
    side = min(width, height)
    left, top = (width - side) / 2, (height - side) / 2
    middle = (left, top, left + side, top + side)
    return image.resize((size, size), pillow.Resampling.BILINEAR, box=middle)


def _array(image: Any) -> npt.NDArray[np.uint8]:
    pixels = np.asarray(image, dtype=np.uint8)
    return pixels[None] if pixels.ndim == 2 else np.ascontiguousarray(pixels.transpose(2, 0, 1))
