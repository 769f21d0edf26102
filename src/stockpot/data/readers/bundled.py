"""Data sets that come inside a package: no download, no path to give.

Shapes: N samples, H x W pixels.
"""

from dataclasses import dataclass

import torch

from ...libraries import optional
from ..collection import Collection, DataReader
from ..dataset import Dataset


def digits() -> Dataset:
    """1,797 grey images of 8 x 8 pixels in [0, 1], ten classes, about 180 of each.

    Raises:
        ExtraError: without scikit-learn.

    Source: E. Alpaydin and C. Kaynak, Optical Recognition of Handwritten Digits, UCI 1998.
    """
    bunch = optional("sklearn.datasets").load_digits()
    images_NHW = torch.tensor(bunch.images / 16, dtype=torch.float32)
    labels_N = torch.tensor(bunch.target, dtype=torch.int64)
    return Dataset("digits", images_NHW[:, None], labels_N, 10, torch.arange(len(labels_N)))


@dataclass(frozen=True, slots=True)
class Digits(DataReader):
    """What `digits` gives; no official parts."""

    def read(self) -> Collection:
        """The set's parts."""
        return Collection(digits())
