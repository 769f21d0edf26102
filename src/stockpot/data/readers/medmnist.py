"""MedMNIST: one .npz file a set, with three official parts.

Shapes: N images, L labels, H x W pixels, C channels.
"""

import math
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import torch

from ...checkpoints.formats.untrusted import shown
from ...errors import StockpotError
from ...files import open_file
from ...typed import from_numpy
from ..collection import Collection, DataReader
from ..dataset import Dataset
from ..formats.bounds import check_memory, check_unpacked
from ..formats.pictures import Size, resized
from ..formats.sources import absent, damaged

PARTS = {"train": "train", "selection": "val", "test": "test"}


@dataclass(frozen=True, slots=True)
class Medmnist(DataReader):
    """Train, validation (as selection) and test, as the file has them.

    Labels [N, 1] are classes; labels [N, L] are L findings of which an image may have several.

    Attributes:
        path: the set's file, such as pathmnist.npz, of any image size; sets of volumes are refused.
        size: pixels along a side that images are brought to; none leaves them as they are. Networks
            that halve five times, such as VGG, need 32 where the file has 28.

    Source: J. Yang et al., MedMNIST v2, Scientific Data 10, 2023.
    """

    path: str
    size: Size | None = None

    def read(self) -> Collection:
        """The set's parts."""
        file = Path(self.path).expanduser()
        if not file.is_file():
            raise absent("medmnist", file)
        arrays = {
            part: (_read(file, f"{key}_images"), _read(file, f"{key}_labels"))
            for part, key in PARTS.items()
        }
        width = {labels.shape[1:] for _, labels in arrays.values()}
        if len(width) > 1 or not all(labels.size for _, labels in arrays.values()):
            raise damaged("medmnist", file, "has labels of unlike shapes, or none")
        if any(one.dtype.kind not in "iub" or one.ndim > 2 for _, one in arrays.values()):
            raise damaged("medmnist", file, "has labels that are not whole numbers [N, L]")
        several = width != {(1,)} and width != {()}
        count = width.pop()[0] if several else 1 + max(int(one.max()) for _, one in arrays.values())
        return Collection(
            **{part: _part(file, *pair, count, several, self.size) for part, pair in arrays.items()}
        )


def _part(
    file: Path,
    images: npt.NDArray[Any],
    labels: npt.NDArray[Any],
    count: int,
    several: bool,
    size: int | None,
) -> Dataset:
    colour = images.ndim == 4 and images.shape[-1] == 3
    if images.dtype != np.uint8 or not (images.ndim == 3 or colour):
        why = f"has images {images.dtype} {images.shape}, not uint8 [N, H, W] or [N, H, W, 3]"
        raise damaged("medmnist", file, why)
    if several and not np.isin(labels, (0, 1)).all():
        raise damaged("medmnist", file, "has labels of several classes that are not 0 or 1")
    if size is not None:
        check_memory("medmnist", len(images), (size, size, 3 if colour else 1))
    if size is None:
        pixels = images.transpose(0, 3, 1, 2) if colour else images[:, None]
    else:
        pixels = resized(images, size)
    found = from_numpy(labels.astype(bool) if several else labels.reshape(-1).astype(np.int64))
    inputs = from_numpy(np.ascontiguousarray(pixels))
    return Dataset(file.stem, inputs, found, count, torch.arange(len(found)))


def _read(file: Path, key: str) -> npt.NDArray[Any]:
    """One array, whose header is compared with the bytes there before anything is allocated."""
    try:
        with open_file(file) as content, zipfile.ZipFile(content) as archive:
            info = archive.getinfo(f"{key}.npy")
            check_unpacked("medmnist", file, info.compress_size, info.file_size)
            with archive.open(info) as member:
                stream = cast(Any, member)
                version = np.lib.format.read_magic(stream)
                head = (
                    np.lib.format.read_array_header_1_0
                    if version == (1, 0)
                    else np.lib.format.read_array_header_2_0
                )
                shape, _, dtype = head(stream)
                promised = math.prod(shape) * dtype.itemsize
                if dtype.hasobject or promised != info.file_size - member.tell():
                    why = f"has {key} of {dtype} {shown(shape)} in {info.file_size} bytes"
                    raise damaged("medmnist", file, why)
            with archive.open(info) as member:
                return np.lib.format.read_array(cast(Any, member), allow_pickle=False)
    except KeyError:
        raise damaged("medmnist", file, f"has no {key}") from None
    except StockpotError:
        raise
    except Exception as error:  # numpy parses the header as Python: any error may come of it
        raise damaged("medmnist", file, f"is no .npz to read ({str(error)[:120]})") from None
