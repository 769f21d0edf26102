"""Data from strangers: JSON read as strictly as the standard has it, values shown with care."""

import json
from collections.abc import Iterable, Mapping
from typing import NoReturn, cast

from ..errors import CheckpointError


def shown(value: object, limit: int = 80) -> str:
    """A value from a file as messages show it: control characters escaped, cut to a length."""
    text = repr(value[: limit + 1] if isinstance(value, str) else value)
    return text if len(text) <= limit else text[:limit] + "…"


def listed(names: Iterable[str]) -> str:
    """The first few names, and how many more."""
    names = list(names)
    few = ", ".join(shown(name) for name in names[:8])
    return f"{few} and {len(names) - 8} more" if len(names) > 8 else few


def parse_json(raw: bytes, where: str) -> Mapping[str, object]:
    """A JSON object as the standard has it: no duplicate keys, no NaN, no lone surrogates."""
    try:
        text = raw.decode()
        value = json.loads(
            text, object_pairs_hook=_unique, parse_constant=_constant, parse_int=_integer
        )
        if "\\u" in text:
            json.dumps(value, ensure_ascii=False).encode()  # a lone surrogate has no UTF-8
    except RecursionError:
        raise CheckpointError(f"{where} nests too deeply to be one.") from None
    except ValueError as error:
        raise CheckpointError(f"{where} is not valid JSON: {str(error)[:120]}.") from None
    if not isinstance(value, dict):
        raise CheckpointError(f"{where} must be a JSON object; it is {shown(value)}.")
    return cast(dict[str, object], value)


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for i, name in enumerate(names) if name in names[:i])
        raise ValueError(f"{shown(twice)} occurs twice")
    return found


def _constant(text: str) -> NoReturn:
    raise ValueError(f"{text} is no number")


def _integer(text: str) -> int:
    if text == "-0":
        raise ValueError("-0 is no whole number")
    return int(text)
