"""Results as files have them: a csv of dataclasses, and values that JSON knows."""

import csv
import io
import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, fields
from typing import Any, cast


def rows_csv(kind: type[Any], rows: Iterable[Any]) -> str:
    """Dataclasses of one kind, a line each, under a header of their field names."""
    text = io.StringIO()
    writer = csv.DictWriter(text, [field.name for field in fields(kind)], lineterminator="\n")
    writer.writeheader()
    writer.writerows(asdict(row) for row in rows)
    return text.getvalue()


def plain_values(value: object) -> object:
    """Lists and dicts all the way down; a number that is not finite is null.

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
    return value
