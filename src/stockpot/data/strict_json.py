"""A JSON document of a stranger."""

import json
from pathlib import Path

from .sources import absent, damaged

LARGEST = 1 << 27
"""Bytes of a JSON file that comes with a data set."""


def read_json(name: str, path: Path) -> object:
    """Its content.

    Raises:
        StockpotError: where it is not there, not JSON, nests too deeply or is too large.
    """
    try:
        if path.stat().st_size > LARGEST:
            raise damaged(name, path, f"has more than {LARGEST} bytes")
        return json.loads(path.read_bytes())
    except FileNotFoundError:
        raise absent(name, path) from None
    except (ValueError, RecursionError) as error:
        raise damaged(name, path, f"is no JSON ({str(error)[:120]})") from None
