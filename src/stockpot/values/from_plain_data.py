"""Any value from plain data, as YAML, JSON and Python give it: one reading, by annotations.

    read(Recipe, {"method": "average", "models": ["a"]})

A *choice* is what a user has written: it is strict, keys that no field has are refused, and every
problem is said, each with its place. A *result* is what stockpot has written: null is NaN where a
number is needed, and keys that no field has are left out, because files say more than a result
holds. A value that has been read is left as it is, so that values in Python go the same way.
"""

import types
from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING, dataclass, fields, is_dataclass
from functools import cache
from typing import (
    Annotated,
    Any,
    Literal,
    TypeVar,
    Union,
    cast,
    get_args,
    get_origin,
    get_type_hints,
)

import numpy as np

from ..errors import FieldError, StockpotError
from .fields import kebab_name, nearest
from .leaves import Unfit, read_array, read_choice, read_leaf, read_literal, shown

T = TypeVar("T")
Manner = Literal["choice", "result"]
Reader = Callable[[Any], Any]


@dataclass(frozen=True, slots=True)
class Reads:
    """In `Annotated[...]`, the function that reads what stands there, and raises a FieldError."""

    function: Callable[[object], object]


def read(kind: type[T], value: object, origin: str = "", what: str = "a value") -> T:
    """What a user has written, as a frozen value.

    Args:
        kind: a dataclass. Its class method `rewritten`, where it has one, gets the data first.
        value: plain data: a mapping of its fields.
        origin: where it comes from; messages start with it.
        what: it is, in messages.

    Raises:
        FieldError: everything that is wrong, a line each, with its place such as `models[1].path`.

    Example:
        >>> from stockpot.recipes.reading.searching import Budget
        >>> read(Budget, {"trials": 3})
        Budget(trials=3, sampler='tpe', seed=0)
        >>> read(Budget, {"trils": 3, "seed": -1}, "e.yml")
        Traceback (most recent call last):
        stockpot.errors.FieldError: e.yml: unknown key 'trils': did you mean 'trials'?
        e.yml: seed must be a whole number in [0, 9223372036854775808); got -1.
    """
    try:
        return cast(T, reader(kind, "choice")(value))
    except Unfit as error:
        prefix = f"{origin}: " if origin else ""
        raise FieldError("\n".join(prefix + line for line in error.sentences(what))) from None


def read_entries(
    hints: Mapping[str, Any], given: Mapping[str, object], origin: str
) -> dict[str, Any]:
    """Values under names that are known by what may stand there; any may be left out.

    Raises:
        FieldError: everything that is wrong: an unknown name, or a value that does not fit.
    """
    known = {name: _Entry(name, hint, required=False) for name, hint in hints.items()}
    try:
        return _entries(known, given, "choice")
    except Unfit as error:
        raise FieldError("\n".join(f"{origin}: {line}" for line in error.sentences(""))) from None


def read_at(place: str, kind: type[T], value: object) -> T:
    """What stands at a place of what is being read; problems are problems at that place."""
    unfit = Unfit()
    with unfit.at(place):
        return cast(T, reader(kind, "choice")(value))
    raise unfit


def read_result(kind: type[T], value: object) -> T:
    """What stockpot has written of a result.

    Args:
        kind: a dataclass.
        value: what JSON gave.

    Raises:
        StockpotError: where something is missing or of another type; the first, with its place.

    Example:
        >>> from stockpot.evaluation.results.intervals import Interval
        >>> read_result(Interval, {"value": 1, "low": None, "high": 2.5, "note": "x"})
        Interval(value=1.0, low=nan, high=2.5)
    """
    try:
        return cast(T, reader(kind, "result")(value))
    except Unfit as error:
        first, *others = error.sentences("the whole")
        more = f", and {len(others)} more" if others else ""
        raise StockpotError(first.removesuffix(".") + more) from None


def settle_fields(value: object) -> None:
    """Read every field of a frozen dataclass from what its maker was given, in place.

    Raises:
        FieldError: what is wrong with them, by the name of the class.
    """
    unfit = Unfit()
    for name, hint in _hints(type(value)).items():
        with unfit.at(name):
            object.__setattr__(value, name, reader(hint, "choice")(getattr(value, name)))
    if unfit.problems:
        kind = kebab_name(type(value))
        raise FieldError("\n".join(f"{kind}: {line}" for line in unfit.sentences(kind)))


@cache
def reader(hint: Any, manner: Manner) -> Reader:
    """How values of one annotation are read; it raises `Unfit`."""
    origin, inner = get_origin(hint), get_args(hint)
    if origin is Annotated:
        for one in inner[1:]:
            if isinstance(one, Reads):
                return _by_function(one.function)
        return read_choice(hint) if manner == "choice" else reader(inner[0], manner)
    if (leaf := read_leaf(hint, manner)) is not None:
        return leaf
    if origin is Literal:
        return read_literal(inner)
    if origin in (Union, types.UnionType):
        return _alternatives(inner, manner)
    if origin is np.ndarray:
        return read_array
    if origin is tuple and inner[-1:] != (Ellipsis,):
        return _positions([reader(one, manner) for one in inner], lambda *found: found)
    if isinstance(origin, type) and issubclass(origin, Mapping):
        key, item = inner
        return _mapping(key, item, manner)
    if isinstance(origin, type) and issubclass(origin, Sequence):
        return _sequence(reader(inner[0], manner))
    if is_dataclass(hint):
        return _dataclass(cast(type[Any], hint), manner)
    if isinstance(hint, type) and issubclass(cast(type[Any], hint), tuple):  # a NamedTuple
        made = cast(type[Any], hint)
        return _positions([reader(one, manner) for one in get_type_hints(made).values()], made)
    raise TypeError(f"no reading of {hint}")


def _by_function(function: Callable[[object], object]) -> Reader:
    def read_value(value: object) -> object:
        try:
            return function(value)
        except FieldError as error:
            raise Unfit.of(str(error)) from None

    return read_value


def _alternatives(kinds: Sequence[Any], manner: Manner) -> Reader:
    """The alternative of the value's own type; else the first that takes it."""
    readers = {kind: reader(kind, manner) for kind in kinds}

    def read_value(value: Any) -> Any:
        own = cast(Any, type(value))
        if own in readers:
            return readers[own](value)
        words = list[str]()
        for one in readers.values():
            try:
                return one(value)
            except Unfit as error:
                place, text = error.problems[0]
                if place or not (text.startswith("must be ") and "; got " in text):
                    raise  # it is of this kind, and something in it is wrong
                words.append(text.removeprefix("must be ").rpartition("; got ")[0])
        raise Unfit.of(f"must be {', or '.join(words)}; got {shown(value)}.")

    return read_value


def _sequence(item: Reader) -> Reader:
    def read_value(value: Any) -> tuple[Any, ...]:
        unfit, found = Unfit(), list[Any]()
        for place, one in enumerate(_listed(value)):
            with unfit.at(place):
                found.append(item(one))
        unfit.raise_any()
        return tuple(found)

    return read_value


def _positions(items: Sequence[Reader], make: Callable[..., Any]) -> Reader:
    """A list with one value for each reader."""

    def read_value(value: Any) -> Any:
        if len(_listed(value)) != len(items):
            raise Unfit.of(f"must be {len(items)} values; there are {len(value)}.")
        unfit, found = Unfit(), list[Any]()
        for place, (item, one) in enumerate(zip(items, value, strict=True)):
            with unfit.at(place):
                found.append(item(one))
        unfit.raise_any()
        return make(*found)

    return read_value


def _mapping(key: Any, item: Any, manner: Manner) -> Reader:
    own, inner = (_whole if key is int else str), reader(item, manner)

    def read_value(value: Any) -> dict[Any, Any]:
        unfit, found = Unfit(), dict[Any, Any]()
        for name, one in _mapped(value).items():
            with unfit.at(name):
                found[own(name)] = inner(one)
        unfit.raise_any()
        return found

    return read_value


def _whole(name: str) -> int:
    try:
        return int(name)
    except ValueError:
        raise Unfit.of(f"must be a whole number; got {shown(name)}.") from None


@dataclass(frozen=True, slots=True)
class _Entry:
    """What may stand under a key of a mapping."""

    name: str
    hint: Any
    required: bool


def _dataclass(kind: type[Any], manner: Manner) -> Reader:
    hints = _hints(kind)
    known = {
        one.metadata.get("key", one.name): _Entry(
            one.name,
            hints[one.name],
            one.default is MISSING and one.default_factory is MISSING,
        )
        for one in fields(kind)
        if one.init
    }
    rewritten = getattr(kind, "rewritten", None) if manner == "choice" else None

    def read_value(value: Any) -> Any:
        if isinstance(value, kind):
            return value
        try:
            value = value if rewritten is None else rewritten(value)
            return kind(**_entries(known, _mapped(value), manner))
        except FieldError as error:
            raise Unfit.of(str(error)) from None

    return read_value


def _entries(
    known: Mapping[str, _Entry], given: Mapping[Any, Any], manner: Manner
) -> dict[str, Any]:
    """Each entry of a mapping, read; what is not given is left out."""
    unfit, found = Unfit(), dict[str, Any]()
    written = [key for key in known if "." not in key]
    for key in given if manner == "choice" else ():
        if key not in known:
            unfit.add(f"unknown key '{str(key)[:80]}'{nearest(str(key), written)}")
    for key, entry in known.items():
        if key in given:
            with unfit.at(key):
                found[entry.name] = reader(entry.hint, manner)(given[key])
        elif entry.required:
            unfit.add("is required.", key)
    unfit.raise_any()
    return found


@cache
def _hints(kind: type[Any]) -> dict[str, Any]:
    hints = get_type_hints(kind, include_extras=True)
    return {one.name: hints[one.name] for one in fields(kind)}


def _listed(value: Any) -> Sequence[Any]:
    if not isinstance(value, list | tuple):
        raise Unfit.of(f"must be a list; got {shown(value)}.")
    return cast(Sequence[Any], value)


def _mapped(value: Any) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise Unfit.of(f"must be a mapping; got {shown(value)}.")
    return cast(Mapping[str, Any], value)
