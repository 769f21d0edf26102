"""What plain data end in: numbers, words, texts and arrays, read with one message each."""

import math
import types
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Literal, cast, get_args

from annotated_types import MinLen

from .fields import FieldSpec
from .to_plain_data import plain_array

Place = str | int


class Unfit(Exception):
    """What is wrong with a value: sentences, each with the place that it is about."""

    def __init__(self) -> None:
        super().__init__()
        self.problems: list[tuple[tuple[Place, ...], str]] = []

    @classmethod
    def of(cls, text: str) -> "Unfit":
        """One problem, of the value itself; it begins with `must`, or says what is about what."""
        unfit = cls()
        unfit.add(text)
        return unfit

    def add(self, text: str, *place: Place) -> None:
        """One more problem."""
        self.problems.append((place, text))

    @contextmanager
    def at(self, place: Place) -> Generator[None]:
        """Problems of what is read within are problems at that place."""
        try:
            yield
        except Unfit as error:
            self.problems += [((place, *path), text) for path, text in error.problems]

    def raise_any(self) -> None:
        """Raise it, if there is any problem."""
        if self.problems:
            raise self

    def sentences(self, what: str) -> list[str]:
        """A line for each problem; `what` stands for the whole."""
        return [_sentence(dotted(place), text, what) for place, text in self.problems]


def dotted(place: Sequence[Place]) -> str:
    """A place in nested data.

    Example:
        >>> dotted(("models", 1, "weight"))
        'models[1].weight'
    """
    steps = (f"[{step}]" if isinstance(step, int) else f".{step}" for step in place)
    return "".join(steps).removeprefix(".")


def _sentence(place: str, text: str, what: str) -> str:
    about = text.startswith(("must ", "needs ", "is required"))
    if not place:
        return f"{what} {text}" if text.startswith("must ") else text
    return f"{place} {text}" if about else f"{place}: {text}"


def shown(value: object) -> str:
    """A value in a message, cut."""
    if value is None:
        return "nothing"
    if isinstance(value, Mapping):
        return "a mapping"
    if isinstance(value, list | tuple):
        return "a list"
    text = repr(value) if isinstance(value, str) else str(value)
    return text if len(text) <= 80 else text[:77] + "..."


def read_choice(hint: Any) -> Callable[[Any], Any]:
    """A number within its bounds, or a text that must not be empty."""
    kind, *bounds = get_args(hint)
    if kind is str:
        return _text if any(isinstance(one, MinLen) for one in bounds) else _plain(str, "text")
    return _within(FieldSpec("", kind, tuple(bounds), (), False))


def read_leaf(hint: Any, manner: Literal["choice", "result"]) -> Callable[[Any], Any] | None:
    """How a plain type is read; None where it is no such type."""
    if hint is float:
        return _any_number if manner == "result" else _within(FieldSpec("", float, (), (), False))
    return _PLAIN.get(hint)


def read_literal(allowed: Sequence[Any]) -> Callable[[Any], Any]:
    """One of a few words or numbers."""

    def read_value(value: Any) -> Any:
        if not any(value == one and type(value) is type(one) for one in allowed):
            raise Unfit.of(f"must be one of {', '.join(map(repr, allowed))}; got {shown(value)}.")
        return value

    return read_value


def read_array(value: Any) -> Any:
    """An array as results have it."""
    try:
        return plain_array(value)
    except ValueError as error:
        raise Unfit.of(str(error)) from None


def _within(spec: FieldSpec) -> Callable[[Any], Any]:
    kind = cast(Callable[[Any], Any], spec.kind)

    def read_value(value: Any) -> Any:
        if not spec.admits(value):
            raise Unfit.of(f"must be {_words(spec, value)}; got {shown(value)}.")
        return kind(value)

    return read_value


def _words(spec: FieldSpec, value: object) -> str:
    if spec.bounds:
        return spec.interval()
    if spec.kind is float:
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        return "a finite number" if is_number else "a number"
    return "a whole number" if spec.kind is int else spec.interval()


def _text(value: Any) -> str:
    text = _plain(str, "text")(value)
    if not text:
        raise Unfit.of("must not be empty; got ''.")
    return text


def _any_number(value: Any) -> float:
    """A number of a result; null is one that was not finite."""
    if value is None:
        return math.nan
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise Unfit.of(f"must be a number; got {shown(value)}.")
    try:
        return float(value)
    except OverflowError:
        raise Unfit.of(f"must be a number that a float holds; got {shown(value)}.") from None


def _plain(kind: type[Any], words: str) -> Callable[[Any], Any]:
    def read_value(value: Any) -> Any:
        if type(value) is not kind:
            raise Unfit.of(f"must be {words}; got {shown(value)}.")
        return value

    return read_value


_PLAIN: Mapping[Any, Callable[[Any], Any]] = {
    int: _plain(int, "a whole number"),
    bool: _plain(bool, "true or false"),
    str: _plain(str, "text"),
    type(None): _plain(types.NoneType, "nothing"),
    Any: lambda value: value,
    object: lambda value: value,
}
