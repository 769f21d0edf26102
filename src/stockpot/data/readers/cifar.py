"""CIFAR-10 and CIFAR-100 as published for Python.

Shapes: N images, 3 x 32 x 32 pixels each.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, cast

import numpy as np
import torch

from ...typed import from_numpy
from ..collection import Collection, DataReader
from ..dataset import Dataset
from ..formats.sources import damaged, file_in, folder_at
from .cifar_pickle import array_of, read_pickle

SHAPE = (3, 32, 32)


@dataclass(frozen=True, slots=True)
class Cifar10(DataReader):
    """50,000 and 10,000 colour images of 32 x 32 pixels, ten classes.

    Attributes:
        path: the folder cifar-10-batches-py, or the one that holds it.

    Source: A. Krizhevsky, Learning Multiple Layers of Features from Tiny Images, 2009.
    """

    written_name: ClassVar[str] = "cifar-10"
    path: str

    def read(self) -> Collection:
        """The set's parts."""
        return CIFAR_10.read(self.path)


@dataclass(frozen=True, slots=True)
class Cifar100(DataReader):
    """50,000 and 10,000 colour images of 32 x 32 pixels, a hundred classes (the fine labels).

    Attributes:
        path: the folder cifar-100-python, or the one that holds it.

    Source: A. Krizhevsky, Learning Multiple Layers of Features from Tiny Images, 2009.
    """

    written_name: ClassVar[str] = "cifar-100"
    path: str

    def read(self) -> Collection:
        """The set's parts."""
        return CIFAR_100.read(self.path)


@dataclass(frozen=True, slots=True)
class _Layout:
    """The names of a set's folder, files and keys."""

    name: str
    folder: str
    train: tuple[str, ...]
    test: str
    meta: str
    names: str
    labels: str

    def read(self, path: str) -> Collection:
        """Both official parts."""
        folder = folder_at(self.name, path)
        folder = folder / self.folder if (folder / self.folder).is_dir() else folder
        meta = file_in(self.name, folder, self.meta)
        names = _listed(self.name, meta, read_pickle(self.name, meta), self.names)
        if not all(isinstance(one, bytes | str) for one in names):
            raise damaged(self.name, meta, f"has {self.names} that are not text")
        classes = tuple(
            one.decode("latin1") if isinstance(one, bytes) else str(one) for one in names
        )
        return Collection(
            self._part([file_in(self.name, folder, one) for one in self.train], classes),
            self._part([file_in(self.name, folder, self.test)], classes),
        )

    def _part(self, paths: Sequence[Path], classes: tuple[str, ...]) -> Dataset:
        images: list[np.ndarray] = []
        labels: list[int] = []
        for path in paths:
            content = read_pickle(self.name, path)
            rows = array_of(self.name, path, content.get("data"))
            found = _listed(self.name, path, content, self.labels)
            whole = [one for one in found if type(one) is int]
            if len(whole) < len(found):
                raise damaged(self.name, path, f"has {self.labels} that are not whole numbers")
            if rows.shape != (len(whole), 3 * 32 * 32):
                why = f"has {len(whole)} labels for an array {rows.shape}"
                raise damaged(self.name, path, why)
            images.append(rows.reshape(-1, *SHAPE))
            labels += whole
        labels_N = torch.tensor(labels, dtype=torch.int64)
        inputs, originals_N = from_numpy(np.concatenate(images)), torch.arange(len(labels))
        return Dataset(self.name, inputs, labels_N, len(classes), originals_N, classes)


def _listed(name: str, path: Path, content: Mapping[str, object], key: str) -> list[object]:
    found = content.get(key)
    if not isinstance(found, list):
        raise damaged(name, path, f"has no list {key}")
    return cast(list[object], found)


CIFAR_10 = _Layout(
    name="cifar-10",
    folder="cifar-10-batches-py",
    train=tuple(f"data_batch_{number}" for number in range(1, 6)),
    test="test_batch",
    meta="batches.meta",
    names="label_names",
    labels="labels",
)

CIFAR_100 = _Layout(
    name="cifar-100",
    folder="cifar-100-python",
    train=("train",),
    test="test",
    meta="meta",
    names="fine_label_names",
    labels="fine_labels",
)
