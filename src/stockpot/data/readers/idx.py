"""MNIST and Fashion-MNIST: idx files, compressed or not.

Shapes: N images, H x W pixels.
"""

import gzip
import math
import zlib
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

import numpy as np
import numpy.typing as npt
import torch

from ...errors import StockpotError
from ...files import open_file
from ...typed import from_numpy
from ..collection import Collection, DataReader
from ..dataset import Dataset
from ..formats.bounds import check_unpacked
from ..formats.sources import damaged, file_in, folder_at

DEBIAN = "/usr/share/datasets/fashion-mnist"
LARGEST = 1 << 30
"""Bytes that one idx file may unpack to."""

GARMENTS = (
    "t-shirt/top",
    "trouser",
    "pullover",
    "dress",
    "coat",
    "sandal",
    "shirt",
    "sneaker",
    "bag",
    "ankle boot",
)


@dataclass(frozen=True, slots=True)
class FashionMnist(DataReader):
    """60,000 and 10,000 grey images of 28 x 28 pixels, ten kinds of garment.

    Source: H. Xiao, K. Rasul, R. Vollgraf, Fashion-MNIST, arXiv 1708.07747.
    """

    path: str = DEBIAN

    def read(self) -> Collection:
        """The set's parts."""
        return _collection("fashion-mnist", self.path, GARMENTS)


@dataclass(frozen=True, slots=True)
class Mnist(DataReader):
    """60,000 and 10,000 grey images of 28 x 28 pixels, ten digits.

    Source: Y. LeCun, L. Bottou, Y. Bengio, P. Haffner, Gradient-based Learning Applied to Document
    Recognition, Proc. IEEE 86(11), 1998.
    """

    path: str

    def read(self) -> Collection:
        """The set's parts."""
        return _collection("mnist", self.path, tuple("0123456789"))


def _collection(name: str, path: str, classes: tuple[str, ...]) -> Collection:
    folder = folder_at(name, path)
    return Collection(*(_part(name, folder, prefix, classes) for prefix in ("train", "t10k")))


def _part(name: str, folder: Path, prefix: str, classes: tuple[str, ...]) -> Dataset:
    arrays: list[npt.NDArray[np.uint8]] = []
    for stem, dimensions in (
        (f"{prefix}-images-idx3-ubyte", 3),
        (f"{prefix}-labels-idx1-ubyte", 1),
    ):
        path = file_in(name, folder, f"{stem}.gz", stem)
        arrays.append(_read(name, path, dimensions))
    images_NHW, labels_N = arrays
    if len(images_NHW) != len(labels_N):
        raise StockpotError(
            f"data '{name}': {len(images_NHW)} images and {len(labels_N)} labels for {prefix} in "
            f"{folder}."
        )
    labels = from_numpy(labels_N).long()
    images = from_numpy(images_NHW)[:, None]
    return Dataset(name, images, labels, len(classes), torch.arange(len(labels)), classes)


def _read(name: str, path: Path, dimensions: int) -> npt.NDArray[np.uint8]:
    """One idx file of bytes: magic 0, 0, 8, dimensions; the sizes, big-endian; the bytes."""
    try:
        with (
            open_file(path) as packed,
            gzip.open(packed) if path.suffix == ".gz" else nullcontext(packed) as unpacked,
        ):
            file = cast(BinaryIO, unpacked)
            head = file.read(4 + 4 * dimensions)
            if len(head) != 4 + 4 * dimensions or head[:4] != bytes((0, 0, 8, dimensions)):
                why = f"is no idx file of bytes in {dimensions} dimension(s)"
                raise damaged(name, path, why)
            shape = tuple(np.frombuffer(head, ">u4", offset=4).tolist())
            size = math.prod(shape)
            if size > LARGEST:
                raise damaged(name, path, f"says that it holds {shape} bytes, which is too many")
            check_unpacked(name, path, path.stat().st_size, size)
            content = bytearray(file.read(size + 1))
    except (EOFError, OSError, zlib.error) as error:
        raise damaged(name, path, f"is cut off or not gzip ({error})") from None
    if len(content) != size:
        found = "more" if len(content) > size else str(len(content))
        raise damaged(name, path, f"says that it holds {size} bytes and holds {found}")
    return np.frombuffer(content, np.uint8).reshape(shape)
