"""CelebA: faces with forty attributes, in three official parts.

Shapes: N images, L attributes.
"""

import re
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from ...errors import StockpotError
from ...values.fields import nearest
from ..collection import Collection, DataReader
from ..dataset import Dataset
from ..formats.pictures import Size, read_images
from ..formats.sources import absent, damaged, file_in, folder_at
from ..formats.tables import lines_of, plain

NAME = "celeba"
IMAGES = "img_align_celeba"
PARTS = {"0": "train", "1": "selection", "2": "test"}


@dataclass(frozen=True, slots=True)
class Celeba(DataReader):
    """202,599 colour photographs in official parts: train, validation (as selection) and test.

    Attributes:
        path: the folder of list_eval_partition, list_attr_celeba (.txt or .csv) and
            img_align_celeba/.
        attribute: one attribute, such as Smiling, for two classes (without, with); or all, for
            forty labels of which each face has several.
        size: pixels along a side; the middle square of 178 x 178 is brought to it.

    Source: Z. Liu, P. Luo, X. Wang, X. Tang, Deep Learning Face Attributes in the Wild, ICCV 2015.
    """

    path: str
    attribute: str = "all"
    size: Size = 64

    def read(self) -> Collection:
        """The set's parts."""
        folder = folder_at(NAME, self.path)
        names, signs = _attributes(folder)
        if self.attribute != "all" and self.attribute not in names:
            raise StockpotError(
                f"data '{NAME}': there is no attribute '{self.attribute[:80]}'"
                f"{nearest(self.attribute, ['all', *names], most=41)}"
            )
        chosen = names if self.attribute == "all" else (self.attribute,)
        columns = [names.index(one) for one in chosen]
        parts: dict[str, Dataset] = {}
        for part, files in _partition(folder, signs).items():
            flags_NL = torch.stack([signs[file][columns] for file in files])
            images = read_images(
                NAME, [_images(folder) / one for one in files], size=self.size, channels=3
            )
            parts[part] = _dataset(images, flags_NL, chosen)
        return Collection(**parts)


def _dataset(images: Tensor, flags_NL: Tensor, chosen: tuple[str, ...]) -> Dataset:
    originals = torch.arange(len(images))
    if len(chosen) != 1:
        return Dataset(NAME, images, flags_NL, len(chosen), originals, chosen)
    classes = (f"not {chosen[0]}", chosen[0])
    return Dataset(NAME, images, flags_NL[:, 0].long(), 2, originals, classes)


def _images(folder: Path) -> Path:
    """The folder of images; Kaggle's archive nests one in another of the same name."""
    outer = folder / IMAGES
    return outer / IMAGES if (outer / IMAGES).is_dir() else outer


def _attributes(folder: Path) -> tuple[tuple[str, ...], dict[str, Tensor]]:
    """The attributes' names, and for each image which it has."""
    path = file_in(NAME, folder, "list_attr_celeba.txt", "list_attr_celeba.csv")
    lines = [_cells(line) for line in lines_of(NAME, path)]
    lines = lines[1:] if lines and len(lines[0]) == 1 else lines  # the .txt begins with a count
    if len(lines) < 2:
        raise damaged(NAME, path, "lists no image")
    names = tuple(one for one in lines[0] if one != "image_id")
    signs: dict[str, Tensor] = {}
    for file, *values in lines[1:]:
        if len(values) != len(names) or not set(values) <= {"-1", "1"}:
            raise damaged(NAME, path, f"has a line for {file[:40]} that is not {len(names)} signs")
        signs[plain(NAME, path, file)] = torch.tensor([one == "1" for one in values])
    return names, signs


def _partition(folder: Path, signs: dict[str, Tensor]) -> dict[str, list[str]]:
    path = file_in(NAME, folder, "list_eval_partition.txt", "list_eval_partition.csv")
    parts: dict[str, list[str]] = {part: [] for part in PARTS.values()}
    for cells in map(_cells, lines_of(NAME, path)):
        if cells == ["image_id", "partition"]:
            continue
        file, part = cells if len(cells) == 2 else ("", "")
        if part not in PARTS or file not in signs:
            raise damaged(NAME, path, f"has the line {cells[:3]}, not a listed image and 0, 1 or 2")
        parts[PARTS[part]].append(file)
    empty = [part for part, files in parts.items() if not files]
    if empty:
        raise absent(NAME, f"any image of the {empty[0]} part in {path}")
    return parts


def _cells(line: str) -> list[str]:
    return re.split(r"[,\s]+", line.strip())
