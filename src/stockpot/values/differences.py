"""In what two nested values of plain data differ, in words."""

from collections.abc import Iterator, Mapping
from typing import cast

SHOWN = 5
ABSENT = "nothing"


def first_differences(before: object, now: object) -> str:
    """The first few differences by their path, and how many more there are.

    Example:
        >>> first_differences({"a": {"lr": 0.1}, "n": 1}, {"a": {"lr": 0.2}, "n": 1})
        'a.lr was 0.1 and is 0.2'
    """
    found = list(_differences(before, now, ""))
    rest = f"; and {len(found) - SHOWN} more" if len(found) > SHOWN else ""
    return "; ".join(found[:SHOWN]) + rest


def _differences(before: object, now: object, place: str) -> Iterator[str]:
    old, new = _mapping(before), _mapping(now)
    if old is None or new is None:
        if before != now:
            yield f"{place} was {_shown(before)} and is {_shown(now)}"
        return
    for key in dict.fromkeys([*old, *new]):
        inner = f"{place}.{key}" if place else key
        yield from _differences(old.get(key), new.get(key), inner)


def _mapping(value: object) -> Mapping[str, object] | None:
    return cast(Mapping[str, object], value) if isinstance(value, Mapping) else None


def _shown(value: object) -> str:
    text = ABSENT if value is None else repr(value) if isinstance(value, str) else str(value)
    return text if len(text) <= 80 else text[:77] + "..."
