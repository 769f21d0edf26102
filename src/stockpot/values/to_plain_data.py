"""Results as files have them: a csv of dataclasses, and values that JSON knows, there and back."""

import base64
import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, fields
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from ..texts import csv_text


def rows_csv(kind: type[Any], rows: Iterable[Any]) -> str:
    """Dataclasses of one kind, a line each, under a header of their field names."""
    return csv_text([field.name for field in fields(kind)], (asdict(row) for row in rows))


def plain_values(value: object) -> object:
    """Lists and dicts all the way down; a number that is not finite is null.

    An array is its shape and the base64 of its values as little-endian float32.
    `stockpot.values.from_plain_data.read_result` reads all of it back.

    Example:
        >>> plain_values({"low": float("-inf"), "pair": (1, 0.5)})
        {'low': None, 'pair': [1, 0.5]}
    """
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: plain_values(one) for key, one in cast(dict[str, object], value).items()}
    if isinstance(value, list | tuple):
        return [plain_values(one) for one in cast(Sequence[object], value)]
    if isinstance(value, np.ndarray):
        array = np.ascontiguousarray(cast(NDArray[Any], value), dtype="<f4")
        text = base64.b64encode(array.tobytes()).decode("ascii")
        return {"shape": list(array.shape), "float32": text}
    return value


def plain_array(value: object) -> NDArray[np.float32]:
    """The array that `plain_values` has written.

    Raises:
        ValueError: it is none.

    Example:
        >>> plain_array(plain_values(np.eye(2)))
        array([[1., 0.],
               [0., 1.]], dtype=float32)
    """
    try:
        told = cast(dict[str, Any], value)
        raw = base64.b64decode(told["float32"], validate=True)
        return np.frombuffer(raw, dtype="<f4").reshape(told["shape"]).astype(np.float32)
    except (KeyError, TypeError, ValueError):
        raise ValueError("no array: its shape, and base64 of as many float32") from None
