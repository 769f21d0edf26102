"""A JSON document of a stranger."""

import json
from pathlib import Path

from .sources import damaged, read_file

LARGEST = 1 << 24
"""Bytes of a JSON file that comes with a data set."""


def read_json(name: str, path: Path) -> object:
    """Its content.

    Raises:
        StockpotError: where it is not there, not JSON, nests too deeply or is too large.
    """
    raw = read_file(name, path, LARGEST)
    try:
        return json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise damaged(name, path, f"is no JSON ({str(error)[:120]})") from None
