"""Images in one folder per class."""

import os
from dataclasses import dataclass
from pathlib import Path

import torch

from ..collection import Collection, DataReader
from ..dataset import Dataset
from ..formats.labels import classes_of, numbered
from ..formats.pictures import Channels, Size, read_images
from ..formats.sources import absent, damaged, folder_at

NAME = "image-folder"
ENDINGS = {".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".ppm", ".pgm"}
PARTS = {"train": ("train",), "selection": ("val", "valid", "validation"), "test": ("test",)}


@dataclass(frozen=True, slots=True)
class ImageFolder(DataReader):
    """Whatever images a user has, sorted into folders whose names are the classes.

    Attributes:
        path: a folder of class folders; or of train/ and, if there are official parts, val/ and
            test/, each with class folders. Images may lie at any depth below a class.
        size: pixels along a side: the shorter side is brought to it and the middle square kept.
            Without, all images must have one size.
        channels: 1 for grey, 3 for colour.
    """

    path: str
    size: Size | None = None
    channels: Channels = 3

    def read(self) -> Collection:
        """The set's parts."""
        folder = folder_at(NAME, self.path)
        homes = {"train": folder}
        if (folder / "train").is_dir():
            homes = {
                part: folder / one
                for part, names in PARTS.items()
                for one in names
                if (folder / one).is_dir()
            }
        files = {part: _files(home) for part, home in homes.items()}
        classes = classes_of(label for _, label in files["train"])
        parts: dict[str, Dataset] = {}
        for part, found in files.items():
            labels = numbered(NAME, [label for _, label in found], classes)
            images = read_images(
                NAME, [file for file, _ in found], size=self.size, channels=self.channels
            )
            originals = torch.arange(len(labels))
            parts[part] = Dataset(folder.name, images, labels, len(classes), originals, classes)
        return Collection(**parts)


def _files(home: Path) -> list[tuple[Path, str]]:
    """Every image below a class folder, in order of its name."""
    found: list[tuple[Path, str]] = []
    within = (home.resolve(), *home.resolve().parents)
    for label in sorted(one.name for one in home.iterdir() if one.is_dir()):
        if (home / label).resolve() in within:
            raise damaged(NAME, home / label, "links to a folder that holds it")
        for here, inner, names in os.walk(home / label):
            inner.sort()
            files = (Path(here) / one for one in sorted(names))
            found += [(file, label) for file in files if file.suffix.lower() in ENDINGS]
    if not found:
        raise absent(NAME, f"any image in a class folder of {home}")
    return found
