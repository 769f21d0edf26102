"""Methods by name: how YAML and the command line find a method and give it its fields."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import MISSING, fields
from difflib import get_close_matches
from functools import cache
from typing import cast

from ..core import Method
from ..errors import FieldError
from ..fields import FieldSpec, field_specs, kebab_name
from . import METHODS


def nearest(word: str, choices: Iterable[str], most: int = 12) -> str:
    """The end of a message about a word that is none of `choices`: the nearest one, or all.

    Case, `_` and `-` make no difference to what is near.

    Example:
        >>> "no field 'densty'" + nearest("densty", ["density", "scale"])
        "no field 'densty': did you mean 'density'?"
        >>> "no field 'x'" + nearest("x", ["density", "scale"])
        "no field 'x': choose from density, scale."
    """
    plain = {_plain(choice): choice for choice in choices}
    if not plain:
        return ": there are none."
    if close := get_close_matches(_plain(word[:200]), plain, 1):
        return f": did you mean '{plain[close[0]]}'?"
    listed = ", ".join(list(plain.values())[:most])
    return f": choose from {listed}, ..." if len(plain) > most else f": choose from {listed}."


def _plain(word: str) -> str:
    return word.lower().replace("_", "-")


@cache
def _by_name() -> Mapping[str, type[Method]]:
    return {kebab_name(cls): cls for cls in METHODS}


def find_method(name: str) -> type[Method]:
    """The method class of a kebab-case name.

    Raises:
        FieldError: no method has this name; the text names the nearest.

    Example:
        >>> find_method("task-arithmetic").__name__
        'TaskArithmetic'
    """
    methods = _by_name()
    if name not in methods:
        raise FieldError(f"there is no method '{name[:80]}'{nearest(name, methods)}")
    return methods[name]


def find_field(cls: type[Method], name: str) -> FieldSpec:
    """What the field of that name of a method may be.

    Raises:
        FieldError: the method has no such field; the text names the nearest.
    """
    specs = {spec.name: spec for spec in field_specs(cls)}
    if name not in specs:
        raise FieldError(f"{kebab_name(cls)} has no field '{name[:80]}'{nearest(name, specs)}")
    return specs[name]


def make_method(name: str, fields: Mapping[str, object]) -> Method:
    """The method `name` with `fields`; fields that are not given keep their defaults.

    Raises:
        FieldError: an unknown method or field, a field that is required and missing, or a value
            out of its bounds.

    Example:
        >>> make_method("interpolate", {"t": 0.3})
        Interpolate(t=0.3)
    """
    cls = find_method(name)
    for given in fields:
        find_field(cls, given)
    if missing := [field for field in required_fields(cls) if field not in fields]:
        raise FieldError(f"{name} needs its field '{missing[0]}'.")
    return cls(**fields)


def required_fields(cls: type[Method]) -> list[str]:
    """Names of the fields that have no default."""
    return [
        field.name
        for field in fields(cast(type, cls))
        if field.default is MISSING and field.default_factory is MISSING
    ]


def method_fields(method: Method) -> dict[str, object]:
    """Every field and its value, as JSON and YAML have them: a value per model is a list.

    Example:
        >>> method_fields(make_method("interpolate", {}))
        {'t': 0.5}
    """
    plain: dict[str, object] = {}
    for spec in field_specs(type(method)):
        value = getattr(method, spec.name)
        many = isinstance(value, tuple)
        plain[spec.name] = list(cast(Sequence[object], value)) if many else value
    return plain
