"""CIFAR-10 and CIFAR-100 as published for Python.

Shapes: N images, 3 x 32 x 32 pixels each.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import cast

import numpy as np
import torch

from ...typed import from_numpy
from ..collection import Collection
from ..dataset import Dataset
from ..sources import damaged, file_in, folder_at
from .cifar_pickle import array_of, read_pickle

SHAPE = (3, 32, 32)


def cifar_10(path: str) -> Collection:
    """50,000 and 10,000 colour images of 32 x 32 pixels, ten classes.

    Args:
        path: the folder cifar-10-batches-py, or the one that holds it.

    Source: A. Krizhevsky, Learning Multiple Layers of Features from Tiny Images, 2009.
    """
    train = [f"data_batch_{number}" for number in range(1, 6)]
    return _read("cifar-10", path, "cifar-10-batches-py", train, "test_batch", "batches.meta")


def cifar_100(path: str) -> Collection:
    """50,000 and 10,000 colour images of 32 x 32 pixels, a hundred classes (the fine labels).

    Args:
        path: the folder cifar-100-python, or the one that holds it.

    Source: A. Krizhevsky, Learning Multiple Layers of Features from Tiny Images, 2009.
    """
    return _read("cifar-100", path, "cifar-100-python", ["train"], "test", "meta")


def _read(
    name: str, path: str, usual: str, train: Sequence[str], test: str, meta: str
) -> Collection:
    folder = folder_at(name, path)
    folder = folder / usual if (folder / usual).is_dir() else folder
    fine = name == "cifar-100"
    classes = _classes(
        name, file_in(name, folder, meta), "fine_label_names" if fine else "label_names"
    )
    key = "fine_labels" if fine else "labels"
    return Collection(
        *(
            _part(name, [file_in(name, folder, one) for one in files], key, classes)
            for files in (train, [test])
        )
    )


def _classes(name: str, path: Path, key: str) -> tuple[str, ...]:
    names = read_pickle(name, path).get(key)
    if not isinstance(names, list):
        raise damaged(name, path, f"has no list {key}")
    return tuple(
        one.decode("latin1") if isinstance(one, bytes) else str(one)
        for one in cast(list[object], names)
    )


def _part(name: str, paths: Sequence[Path], key: str, classes: tuple[str, ...]) -> Dataset:
    images: list[np.ndarray] = []
    labels: list[int] = []
    for path in paths:
        content = read_pickle(name, path)
        rows, found = array_of(name, path, content.get("data")), content.get(key)
        if not isinstance(found, list) or not all(
            type(one) is int for one in cast(list[object], found)
        ):
            raise damaged(name, path, f"has no list {key} of whole numbers")
        if rows.shape != (len(cast(list[int], found)), 3 * 32 * 32):
            raise damaged(
                name, path, f"has {len(cast(list[int], found))} labels for an array {rows.shape}"
            )
        images.append(rows.reshape(-1, *SHAPE))
        labels += cast(list[int], found)
    return Dataset(
        name,
        from_numpy(np.concatenate(images)),
        torch.tensor(labels, dtype=torch.int64),
        len(classes),
        torch.arange(len(labels)),
        classes,
    )
