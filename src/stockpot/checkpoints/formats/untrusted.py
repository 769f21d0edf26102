"""Data from strangers: JSON read as strictly as the standard has it, values shown with care."""

import json
import re
import reprlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import NoReturn, cast

from ...errors import CheckpointError

MOST_VALUES = 4_000_000
"""Of one JSON text, where two bytes can be a list that takes sixty. A tensor of a header is ten."""
_SPACE = r"[ \t\n\r]*"
_OPEN = re.compile(rf"{_SPACE}{{{_SPACE}(}}?){_SPACE}")
_COLON = re.compile(rf"{_SPACE}(:){_SPACE}")
_NEXT = re.compile(rf"{_SPACE}([,}}]){_SPACE}")
_PLAIN_NAME = re.compile(rf'"([^"\\\x00-\x1f]*)"{_SPACE}:{_SPACE}')


def shown(value: object, limit: int = 80) -> str:
    """A value from a file as messages show it: control characters escaped, cut to a length.

    Example:
        >>> shown("a" * 99, 20)
        "'aaaaaaa...aaaaaaaa'"
    """
    brief = reprlib.Repr()
    brief.maxlevel, brief.maxlist, brief.maxdict = 3, 8, 4
    brief.maxstring = brief.maxother = brief.maxlong = limit
    text = brief.repr(value)
    return text if len(text) <= limit else text[:limit] + "..."


def listed(names: Iterable[str]) -> str:
    """The first few names, and how many more."""
    names = list(names)
    few = ", ".join(shown(name) for name in names[:8])
    return f"{few} and {len(names) - 8} more" if len(names) > 8 else few


def parse_json(raw: bytes, where: str) -> Mapping[str, object]:
    """A JSON object as the standard has it: no duplicate keys, no NaN, no lone surrogates."""
    return _parse(raw, where, _constant)


def parse_config(raw: bytes, where: str) -> Mapping[str, object]:
    """A JSON object as Python's json writes it: Infinity, as in Mamba's configurations, is one."""
    return _parse(raw, where, float)


def _parse(raw: bytes, where: str, constant: Callable[[str], object]) -> Mapping[str, object]:
    _bound(raw, where)
    try:
        text = raw.decode()
        value = json.loads(
            text, object_pairs_hook=_unique, parse_constant=constant, parse_int=_integer
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


def json_members(raw: bytes, where: str) -> Iterator[tuple[str, object]]:
    """The members of a JSON object one after the other, as strictly as `parse_json` reads it.

    Only one value is in memory at a time: a header of a hundred thousand tensors as dictionaries
    would take ten times its text. Names may repeat; the caller refuses that.
    """
    _bound(raw, where)
    try:
        yield from _members(raw.decode())
    except (ValueError, RecursionError) as error:
        parse_json(raw, where)  # says what is wrong, and where
        raise CheckpointError(f"{where} is not valid JSON: {str(error)[:120]}.") from None


def _members(text: str) -> Iterator[tuple[str, object]]:
    scan = json.JSONDecoder(
        object_pairs_hook=_unique, parse_constant=_constant, parse_int=_integer
    ).raw_decode
    escaped = "\\u" in text
    at, after = _expected(_OPEN, text, 0)
    while after != "}":
        plain = _PLAIN_NAME.match(text, at)
        if plain is not None:
            name, at = plain[1], plain.end()
        else:
            name, at = scan(text, at)
            at, _ = _expected(_COLON, text, at)
        if not isinstance(name, str):
            raise ValueError("a name must be a string")  # noqa: TRY004 - so that it is told
        value, at = scan(text, at)
        if escaped:
            json.dumps([name, value], ensure_ascii=False).encode()
        yield name, value
        at, after = _expected(_NEXT, text, at)
    if at != len(text):
        raise ValueError("data after the object")


def _expected(pattern: re.Pattern[str], text: str, at: int) -> tuple[int, str]:
    """Where what matches at a place ends, and its last character that is no white space."""
    found = pattern.match(text, at)
    if found is None:
        raise ValueError(f"something else was expected at {at}")
    return found.end(), found[1]


def _bound(raw: bytes, where: str) -> None:
    if raw.count(b",") + raw.count(b"[") + raw.count(b"{") > MOST_VALUES:
        raise CheckpointError(f"{where} holds more than {MOST_VALUES:,} values, too many for one.")


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found: dict[str, object] = {}
    for name, value in pairs:
        if name in found:
            raise ValueError(f"{shown(name)} occurs twice")
        found[name] = value
    return found


def _constant(text: str) -> NoReturn:
    raise ValueError(f"{text} is no number")


def _integer(text: str) -> int:
    if text == "-0":
        raise ValueError("-0 is no whole number")
    return int(text)


def as_mapping(value: object) -> Mapping[str, object] | None:
    """A value from JSON as the mapping that it is; None where it is none."""
    return cast(Mapping[str, object], value) if isinstance(value, dict) else None
