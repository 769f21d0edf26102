"""CIFAR's pickles, read without running anything that they name.

A pickle may name any function and have it called. This reader admits the four names with which
numpy's arrays are written, and puts its own plain records in their place: not even numpy runs.
"""

import math
import pickle
from collections.abc import Mapping
from io import BytesIO
from pathlib import Path
from typing import cast

import numpy as np
import numpy.typing as npt

from ...checkpoints.formats.untrusted import shown
from ...checkpoints.pickles import rules
from ...checkpoints.pickles.budget import Budget, PickleError
from ...checkpoints.pickles.dialect import Dialect, Rule
from ...checkpoints.pickles.scan import scan
from ..formats.sources import damaged, read_file

LARGEST = 1 << 28
"""Bytes of one file; CIFAR's largest has 155 million."""


class _Array:
    """What numpy's pickled state says: (version, shape, dtype, whether Fortran's order, bytes)."""

    state: object = None

    def __init__(self, *_: object) -> None:
        pass

    def __setstate__(self, state: object) -> None:
        self.state = state


class _Dtype:
    """A dtype's code, such as u1."""

    def __init__(self, code: object = None, *_: object) -> None:
        self.code = code

    def __setstate__(self, _: object) -> None:
        pass  # byte order and flags, which bytes do not have


def _reconstruct(*_: object) -> _Array:
    return _Array()


def _encode(text: object, codec: object = "latin1") -> bytes:
    """How protocol 2 writes bytes; any other codec could unpack without end."""
    if not isinstance(text, str) or codec not in ("latin1", "latin-1"):
        raise pickle.UnpicklingError(f"bytes in the codec {shown(codec)}")
    return text.encode("latin1")


ADMITTED: Mapping[str, tuple[object, Rule]] = {
    "numpy.core.multiarray._reconstruct": (_reconstruct, rules.record),
    "numpy._core.multiarray._reconstruct": (_reconstruct, rules.record),
    "numpy.ndarray": (_Array, rules.record),
    "numpy.dtype": (_Dtype, rules.record),
    "_codecs.encode": (_encode, rules.encode),
}
"""Each name with what stands for it, and what that gives when a scan comes to it."""


def _rule(name: str) -> Rule | None:
    return ADMITTED[name][1] if name in ADMITTED else None


class _Unpickler(pickle.Unpickler):
    def find_class(self, module_name: str, global_name: str, /) -> object:
        name = f"{module_name}.{global_name}"
        if name not in ADMITTED:
            raise pickle.UnpicklingError(f"it names {shown(name)}")
        return ADMITTED[name][0]


def read_pickle(name: str, path: Path) -> Mapping[str, object]:
    """The mapping in one of CIFAR's files, its keys as text.

    Raises:
        StockpotError: where it is cut off, holds something else, or names anything to be called
            beyond an array of numbers.
    """
    raw = read_file(name, path, LARGEST)
    try:
        scan(raw, Dialect(_rule), Budget(len(raw)))
        content: object = _Unpickler(BytesIO(raw), encoding="bytes").load()
    except PickleError as error:
        raise damaged(name, path, f"is refused as a pickle of arrays: it {error}") from None
    except Exception as error:  # a broken pickle raises whatever its bytes make of it
        raise damaged(name, path, f"is refused as a pickle of arrays: {str(error)[:120]}") from None
    if not isinstance(content, dict):
        raise damaged(name, path, "holds no mapping")
    items = cast(Mapping[object, object], content).items()
    return {key.decode("latin1") if isinstance(key, bytes) else str(key): one for key, one in items}


def array_of(name: str, path: Path, value: object) -> npt.NDArray[np.uint8]:
    """An array of bytes in two dimensions out of such a mapping.

    Raises:
        StockpotError: where it is none, or its bytes are not as many as its shape says.
    """
    state = value.state if isinstance(value, _Array) else None
    match state:
        case (int(), (int(rows), int(columns)), _Dtype(code="u1" | b"u1"), False | 0, bytes(raw)):
            shape = (rows, columns)
        case _:
            raise damaged(name, path, "holds no matrix of bytes where its images should be")
    if min(shape) < 0 or math.prod(shape) != len(raw):
        raise damaged(name, path, f"has {len(raw)} bytes in an array of the shape {shown(shape)}")
    return np.frombuffer(bytearray(raw), np.uint8).reshape(shape)
