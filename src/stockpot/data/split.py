"""Three disjoint parts of a data set: to train on, to choose on, and to look at once.

Shapes: N samples.
"""

import random
from collections import defaultdict
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import torch

from ..errors import StockpotError
from .dataset import Dataset, content_hashes


@dataclass(frozen=True, slots=True, eq=False)
class Splits:
    """Train, selection and test parts; that no image is in two of them is checked, not trusted.

    Attributes:
        train: what weights are fitted to.
        selection: what greedy choices and searches of hyper-parameters may look at.
        test: what the reported numbers come from.

    Raises:
        StockpotError: where two parts share an image.
    """

    train: Dataset
    selection: Dataset
    test: Dataset

    def __post_init__(self) -> None:
        parts = {"train": self.train, "selection": self.selection, "test": self.test}
        contents = {name: set(content_hashes(data)) for name, data in parts.items()}
        for (name, images), (other, others) in combinations(contents.items(), 2):
            shared = len(images & others)
            if shared:
                raise StockpotError(
                    f"The {name} and {other} splits of '{self.train.name}' share {shared} "
                    "image(s), so a score on one would leak into the other: split by content, "
                    "for example with three_way."
                )


def three_way(data: Dataset, *, selection: float, test: float, seed: int = 0) -> Splits:
    """Split into train, selection and test, class by class, identical images kept together.

    Each class is shuffled by `seed` and cut at the fractions `selection` and `test`, rounded to
    whole images, so that every part has the classes in the proportions of the whole.

    Args:
        data: what to split.
        selection: fraction of each class for the selection split, in (0, 1).
        test: fraction of each class for the test split, in (0, 1); the rest is for training.
        seed: the same seed gives the same split.

    Raises:
        StockpotError: where the fractions leave a part empty, one image has two labels, or the data
            holds several views of one original.
    """
    if not (0 < selection < 1 and 0 < test < 1 and selection + test < 1):
        raise StockpotError(
            "three_way: selection and test must be fractions in (0, 1) with a sum below 1; got "
            f"selection={selection}, test={test}."
        )
    if np.unique(data.originals.numpy()).size < len(data):
        raise StockpotError(
            f"three_way: '{data.name}' holds several views of one original, which would land in "
            "different splits: split first, then derive the views."
        )
    shuffler = random.Random(seed)
    parts: tuple[list[int], list[int], list[int]] = ([], [], [])
    for images in _images_by_class(data):
        shuffler.shuffle(images)
        held = round(test * len(images))
        chosen = held + round(selection * len(images))
        for part, some in zip(
            parts, (images[chosen:], images[held:chosen], images[:held]), strict=True
        ):
            part.extend(position for positions in some for position in positions)
    if not all(parts):
        raise StockpotError(
            f"three_way: {len(data)} images of '{data.name}' are too few to give every split one."
        )
    return Splits(*(data.take(torch.tensor(sorted(part))) for part in parts))


def _images_by_class(data: Dataset) -> list[list[list[int]]]:
    """For each class, the positions of each distinct image."""
    copies: defaultdict[str, list[int]] = defaultdict(list)
    for position, digest in enumerate(content_hashes(data)):
        copies[digest].append(position)
    by_class: list[list[list[int]]] = [[] for _ in range(data.num_classes)]
    for positions in copies.values():
        labels = {int(data.labels[position]) for position in positions}
        if len(labels) > 1:
            raise StockpotError(
                f"'{data.name}' has one image under the labels {sorted(labels)} at positions "
                f"{positions}: mend or drop it first."
            )
        by_class[labels.pop()].append(positions)
    return by_class
