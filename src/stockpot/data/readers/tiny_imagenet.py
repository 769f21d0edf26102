"""Tiny-ImageNet: 200 classes, 64 x 64 pixels, the official validation images as the test part."""

from dataclasses import dataclass
from pathlib import Path

import torch

from ..collection import Collection, DataReader
from ..dataset import Dataset
from ..formats.labels import numbered
from ..formats.pictures import Size, read_images
from ..formats.sources import absent, damaged, file_in, folder_at
from ..formats.tables import lines_of, plain

NAME = "tiny-imagenet"


@dataclass(frozen=True, slots=True)
class TinyImagenet(DataReader):
    """100,000 colour images to train on, 10,000 to test on.

    The labels of the images under test/ were never published; val_annotations.txt has those of the
    part that everyone tests on.

    Attributes:
        path: the folder tiny-imagenet-200.
        size: pixels along a side; 64 leaves the images as they are.

    Source: Stanford CS231n, 2015, from ImageNet.
    """

    path: str
    size: Size = 64

    def read(self) -> Collection:
        """The set's parts."""
        folder = folder_at(NAME, self.path)
        wnids = lines_of(NAME, file_in(NAME, folder, "wnids.txt"))
        if len(set(wnids)) < len(wnids):
            raise damaged(NAME, folder / "wnids.txt", "names a class twice")
        classes = _words(folder, wnids)
        train = [
            (file, wnid)
            for wnid in wnids
            for file in _images(
                folder / "train" / plain(NAME, folder / "wnids.txt", wnid) / "images"
            )
        ]
        return Collection(
            *(_part(part, wnids, classes, self.size) for part in (train, _validation(folder)))
        )


def _words(folder: Path, wnids: list[str]) -> tuple[str, ...]:
    """The first word for each class; with its id where two classes share it."""
    path = file_in(NAME, folder, "words.txt")
    named = dict(line.split("\t", 1) for line in lines_of(NAME, path) if "\t" in line)
    missing = [wnid for wnid in wnids if wnid not in named]
    if missing:
        raise damaged(NAME, path, f"has no words for {missing[0]} and {len(missing) - 1} more")
    first = [named[wnid].split(",")[0].strip() for wnid in wnids]
    return tuple(
        word if first.count(word) == 1 else f"{word} ({wnid})"
        for word, wnid in zip(first, wnids, strict=True)
    )


def _images(folder: Path) -> list[Path]:
    found = sorted(folder.glob("*.JPEG"))
    if not found:
        raise absent(NAME, folder / "*.JPEG")
    return found


def _validation(folder: Path) -> list[tuple[Path, str]]:
    path = file_in(NAME, folder / "val", "val_annotations.txt")
    found: list[tuple[Path, str]] = []
    for line in lines_of(NAME, path):
        file, _, rest = line.partition("\t")
        found.append((folder / "val" / "images" / plain(NAME, path, file), rest.split("\t")[0]))
    if not found:
        raise damaged(NAME, path, "is empty")
    return found


def _part(
    files: list[tuple[Path, str]], wnids: list[str], classes: tuple[str, ...], size: int
) -> Dataset:
    labels = numbered(NAME, [wnid for _, wnid in files], wnids)
    images = read_images(NAME, [file for file, _ in files], size=size, channels=3)
    return Dataset(NAME, images, labels, len(classes), torch.arange(len(labels)), classes)
