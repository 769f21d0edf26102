"""The options of a reader, checked against its signature before it runs."""

from collections.abc import Callable, Iterable, Mapping
from difflib import get_close_matches
from inspect import Parameter, signature
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, cast, get_args, get_origin

from annotated_types import Ge, Le

from ..checkpoints.formats.untrusted import shown
from ..errors import FieldError
from .sources import SOURCES

Size = Annotated[int, Ge(1), Le(4096)]
"""Pixels along a side."""

Channels = Literal[1, 3]
"""1 for grey, 3 for colour."""


def checked(
    name: str, reader: Callable[..., object], options: Mapping[str, object]
) -> dict[str, Any]:
    """The options as the reader takes them; lists become tuples.

    Raises:
        FieldError: for an option that is unknown, missing, of another type or out of bounds.
    """
    parameters = signature(reader, eval_str=True).parameters
    for key in options:
        if key not in parameters:
            raise FieldError(
                f"data '{name}' takes {', '.join(parameters) or 'no options'}; got '{key[:80]}'."
                f"{nearest(key, parameters)}"
            )
    for key, parameter in parameters.items():
        if key not in options and parameter.default is Parameter.empty:
            where = SOURCES.get(name, "")
            raise FieldError(
                f"data '{name}' needs {key}: {in_words(parameter.annotation)}. {where}".rstrip()
            )
    for key, value in options.items():
        hint = parameters[key].annotation
        if not _admits(value, hint):
            raise FieldError(f"data '{name}': {key} must be {in_words(hint)}; got {shown(value)}.")
    return {
        key: tuple(cast(list[object], one)) if isinstance(one, list) else one
        for key, one in options.items()
    }


def nearest(word: str, known: Iterable[str]) -> str:
    """A hint at the known word that is nearest, or nothing."""
    near = get_close_matches(word, list(known), n=1)
    return f" Did you mean '{near[0]}'?" if near else ""


def _admits(value: object, hint: Any) -> bool:
    origin, inner = get_origin(hint), get_args(hint)
    if origin is Annotated:
        bounds = inner[1:]
        return _admits(value, inner[0]) and all(_within(cast(int, value), one) for one in bounds)
    if origin is Literal:
        return any(value == one and type(value) is type(one) for one in inner)
    if origin in (Union, UnionType):
        return any(_admits(value, one) for one in inner)
    if origin is tuple:
        many = isinstance(value, list | tuple)
        return many and all(_admits(one, inner[0]) for one in cast(list[object], value))
    return type(value) is hint


def _within(value: int, bound: object) -> bool:
    match bound:
        case Ge(ge):
            return value >= cast(int, ge)
        case Le(le):
            return value <= cast(int, le)
        case _:
            raise TypeError(f"no such bound: {bound}")


_WORDS: Mapping[Any, str] = {
    str: "text",
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    NoneType: "nothing",
    Ge: "from {0.ge}",
    Le: "to {0.le}",
}


def in_words(hint: Any) -> str:
    """What a type of option may be.

    >>> in_words(Size | None)
    'a whole number from 1 to 4096, or nothing'
    """
    origin, inner = get_origin(hint), get_args(hint)
    if origin is Annotated:
        return " ".join([in_words(inner[0]), *(_WORDS[type(one)].format(one) for one in inner[1:])])
    if origin is Literal:
        return "one of " + ", ".join(map(str, inner))
    if origin in (Union, UnionType):
        return ", or ".join(map(in_words, inner))
    if origin is tuple:
        return f"a list, each {in_words(inner[0])}"
    return _WORDS[hint]
