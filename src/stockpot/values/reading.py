"""Frozen dataclasses from the plain values that a results file has: one reading for all kinds.

What is read has the types that the fields are annotated with, or the file is refused by place.
"""

import math
import types
from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING, fields, is_dataclass
from functools import cache
from typing import Any, Literal, TypeVar, Union, cast, get_args, get_origin, get_type_hints

import numpy as np

from ..errors import StockpotError
from .plain import plain_array

T = TypeVar("T")

_Reader = Callable[[Any], Any]
_REQUIRED = object()


class _Unfit(Exception):
    """A value is not what its place needs; `path` is filled on the way out."""

    def __init__(self, words: str) -> None:
        super().__init__(words)
        self.path: list[str] = []


def read_plain(kind: type[T], value: object) -> T:
    """A dataclass, and all in it, from what `plain_values` made of it.

    Null is NaN where a number is needed, and None where None may stand. Keys that no field has are
    left out, because files say more than a result holds; fields with a default may be missing.

    Args:
        kind: the dataclass.
        value: what JSON gave.

    Raises:
        StockpotError: where something is missing or of another type, with its place.

    Example:
        >>> from stockpot.evaluation.results.intervals import Interval
        >>> read_plain(Interval, {"value": 1, "low": None, "high": 2.5})
        Interval(value=1.0, low=nan, high=2.5)
    """
    try:
        return cast(T, _reader(kind)(value))
    except _Unfit as error:
        where = ".".join(reversed(error.path)) or "the whole"
        raise StockpotError(f"{where}: {error}") from None


@cache
def _reader(kind: Any) -> _Reader:
    """How values of one annotation are read."""
    origin, arguments = get_origin(kind), get_args(kind)
    if kind in _SIMPLE:
        return _SIMPLE[kind]
    if origin is Literal:
        return _literal(arguments)
    if origin in (Union, types.UnionType):
        return _union(arguments)
    if origin is np.ndarray:
        return _array
    if origin is tuple and arguments[-1:] != (Ellipsis,):
        return _positions([*map(_reader, arguments)], lambda *found: found)
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return _mapping(*arguments)
    if isinstance(origin, type) and issubclass(origin, Sequence):
        return _sequence(_reader(arguments[0]))
    if is_dataclass(kind):
        return _dataclass(cast(type[Any], kind))
    if isinstance(kind, type) and issubclass(cast(type[Any], kind), tuple):  # a NamedTuple
        made = cast(type[Any], kind)
        return _positions([*map(_reader, get_type_hints(made).values())], made)
    raise TypeError(f"no reading of {kind}")


def _number(value: Any) -> float:
    if value is None:
        return math.nan
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise _unlike("a number", value)
    try:
        return float(value)
    except OverflowError:
        raise _unlike("a number that a float holds", value) from None


def _exactly(kind: type[Any], words: str) -> _Reader:
    def read(value: Any) -> Any:
        if type(value) is not kind:
            raise _unlike(words, value)
        return value

    return read


_SIMPLE: Mapping[Any, _Reader] = {
    float: _number,
    int: _exactly(int, "a whole number"),
    bool: _exactly(bool, "true or false"),
    str: _exactly(str, "text"),
    type(None): _exactly(type(None), "null"),
    Any: lambda value: value,
    object: lambda value: value,
}


def _array(value: Any) -> Any:
    try:
        return plain_array(value)
    except ValueError as error:
        raise _Unfit(str(error)) from None


def _literal(allowed: Sequence[Any]) -> _Reader:
    def read(value: Any) -> Any:
        if value not in allowed:
            raise _unlike(f"one of {', '.join(map(str, allowed))}", value)
        return value

    return read


def _union(kinds: Sequence[Any]) -> _Reader:
    """The alternative of the value's own type; else the first that takes it."""

    def read(value: Any) -> Any:
        own = cast(Any, type(value))
        if own in kinds:
            return _reader(own)(value)
        problem = _unlike("another value", value)
        for kind in kinds:
            try:
                return _reader(kind)(value)
            except _Unfit as error:
                problem = error
        raise problem

    return read


def _sequence(item: _Reader) -> _Reader:
    def read(value: Any) -> tuple[Any, ...]:
        return tuple(_at(str(i), item, one) for i, one in enumerate(_listed(value)))

    return read


def _positions(items: Sequence[_Reader], make: Callable[..., Any]) -> _Reader:
    """A list with one value for each reader."""

    def read(value: Any) -> Any:
        if len(_listed(value)) != len(items):
            raise _Unfit(f"{len(items)} values are needed, there are {len(value)}")
        pairs = enumerate(zip(items, value, strict=True))
        return make(*(_at(str(i), item, one) for i, (item, one) in pairs))

    return read


def _mapping(key: Any, item: Any) -> _Reader:
    own, reader = (_whole if key is int else str), _reader(item)

    def read(value: Any) -> dict[Any, Any]:
        if not isinstance(value, dict):
            raise _unlike("an object", value)
        told = cast(dict[str, Any], value)
        return {_at(name, own, name): _at(name, reader, one) for name, one in told.items()}

    return read


def _whole(name: str) -> int:
    try:
        return int(name)
    except ValueError:
        raise _unlike("a whole number", name) from None


def _dataclass(kind: type[Any]) -> _Reader:
    hints = get_type_hints(kind)
    known = [
        (field.name, _reader(hints[field.name]), field.default)
        for field in fields(kind)
        if field.init
    ]

    def read(value: Any) -> Any:
        if not isinstance(value, dict):
            raise _unlike("an object", value)
        told, found = cast(dict[str, Any], value), dict[str, Any]()
        for name, reader, default in known:
            one = told.get(name, _REQUIRED)
            if one is not _REQUIRED:
                found[name] = _at(name, reader, one)
            elif default is MISSING:
                raise _Unfit(f"'{name}' is missing")
        return kind(**found)

    return read


def _listed(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise _unlike("a list", value)
    return cast(list[Any], value)


def _at(place: str, reader: _Reader, value: Any) -> Any:
    try:
        return reader(value)
    except _Unfit as error:
        error.path.append(place)
        raise


def _unlike(words: str, value: Any) -> _Unfit:
    said = repr(value)
    return _Unfit(f"{words} is needed, not {said if len(said) <= 60 else said[:60] + '…'}")
