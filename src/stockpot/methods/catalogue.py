"""Methods by name: how YAML and the command line find a method and give it its fields."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, fields
from functools import cache
from typing import cast

from ..core import Method
from ..errors import FieldError
from ..values.fields import (
    Grid,
    field_specs,
    find_field,
    kebab_name,
    nearest,
)
from . import METHODS


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


def make_method(name: str, fields: Mapping[str, object]) -> Method:
    """The method `name` with `fields`; fields that are not given keep their defaults.

    A field that holds a method takes what `read_method` does.

    Raises:
        FieldError: an unknown method or field, a field that is required and missing, or a value
            out of its bounds.

    Example:
        >>> make_method("interpolate", {"t": 0.3})
        Interpolate(t=0.3)
    """
    cls = find_method(name)
    values = {given: _read(cls, given, value) for given, value in fields.items()}
    if missing := [field for field in required_fields(cls) if field not in fields]:
        raise FieldError(f"{name} needs its field '{missing[0]}'.")
    return cls(**values)


def _read(cls: type[Method], field: str, value: object) -> object:
    spec = find_field(cls, field)
    if spec.kind is not Method or not isinstance(value, str | Mapping) or value in spec.choices:
        return value
    names = (*spec.choices, *_by_name())
    try:
        if isinstance(value, str) and value not in names:
            raise FieldError(f"there is no '{value[:80]}'{nearest(value, names, most=40)}")
        return read_method(cast(object, value))
    except FieldError as error:
        raise FieldError(f"{kebab_name(cls)}: {field}: {error}") from None


def read_method(value: object) -> Method:
    """A method: its name, a mapping of its name and its fields, or the value itself.

    Raises:
        FieldError: it is none of these, or `make_method` refuses it.

    Example:
        >>> read_method({"name": "interpolate", "t": 0.3})
        Interpolate(t=0.3)
    """
    if isinstance(value, Method):
        return value
    if isinstance(value, str):
        return make_method(value, {})
    if isinstance(value, Mapping):
        fields = {str(key): item for key, item in cast(Mapping[object, object], value).items()}
        name = fields.pop("name", None)
        if isinstance(name, str):
            return make_method(name, fields)
    raise FieldError("must be a method's name, or {name: ..., and its fields}.")


def told_apart(methods: Sequence[object]) -> list[str]:
    """A name for each method: its own, with the fields that tell it from others of its kind.

    Equal values have equal names.

    Example:
        >>> told_apart([make_method("ties", {}), make_method("interpolate", {"t": 0.3}),
        ...             make_method("interpolate", {"t": 0.5})])
        ['ties', 'interpolate t=0.3', 'interpolate t=0.5']
        >>> told_apart([make_method("weave", {"method": name}) for name in ("ties", "iso-c")])
        ['weave method=ties', 'weave method=iso-c']
        >>> grids = ({"scale": [0.5, 1.0]}, {"scale": [0.1, 0.2, 0.3, 0.4]})
        >>> told_apart([make_method("weave", {"method": "ties", "grid": one}) for one in grids])
        ['weave grid=scale(0.5,1.0)', 'weave grid=scale(0.1..0.4/4)']
    """
    names: list[str] = []
    for one in methods:
        kin = [other for other in methods if type(other) is type(one)]
        alike, own = [method_fields(other) for other in kin], method_fields(one)
        shown = own | {
            key: f"({held})" if " " in held else held
            for key in own
            if isinstance(value := getattr(one, key), Method)
            for held in [_held_apart(value, [getattr(other, key) for other in kin])]
        }
        shown |= {
            key: _grid_words(cast(Mapping[str, object], value))
            for key, value in own.items()
            if isinstance(value, dict) and not isinstance(getattr(one, key), Method)
        }
        apart = [f"{key}={shown[key]}" for key in own if any(f[key] != own[key] for f in alike)]
        name = kebab_name(type(one))
        names.append(" ".join([name, *apart]))
    return names


def _held_apart(method: Method, among: Sequence[object]) -> str:
    """The name of a method that a field holds, told apart from what others hold there."""
    held = [method, *(one for one in among if isinstance(one, Method))]
    return told_apart(held)[0]


def _grid_words(grid: Mapping[str, object]) -> str:
    """Fields with their values, without spaces: `scale(0.5,1.0);density(0.1..0.5/5)`.

    Four values or more that are evenly spaced are the first, the last, and how many.
    """
    return ";".join(f"{name}({_values_words(values)})" for name, values in grid.items())


def _values_words(values: object) -> str:
    if not isinstance(values, list):
        return str(values).replace(" ", "")
    listed = cast(list[object], values)
    numbers = [float(one) for one in listed if isinstance(one, int | float)]
    if len(numbers) == len(listed) >= 4:
        step = (numbers[-1] - numbers[0]) / (len(numbers) - 1)
        even = [numbers[0] + step * place for place in range(len(numbers))]
        if all(math.isclose(a, b, rel_tol=1e-9) for a, b in zip(numbers, even, strict=True)):
            return f"{listed[0]}..{listed[-1]}/{len(listed)}"
    return ",".join(str(one).replace(" ", "") for one in listed)


def required_fields(cls: type[Method]) -> list[str]:
    """Names of the fields that have no default."""
    return [
        field.name
        for field in fields(cast(type, cls))
        if field.default is MISSING and field.default_factory is MISSING
    ]


def method_fields(method: object) -> dict[str, object]:
    """Every field and its value, as JSON and YAML have them: a value per model is a list.

    Example:
        >>> method_fields(make_method("interpolate", {}))
        {'t': 0.5}
    """
    return {spec.name: _plain(getattr(method, spec.name)) for spec in field_specs(type(method))}


def plain_method(method: object) -> dict[str, object]:
    """The method as a recipe writes it; `read_method` reads it back.

    Example:
        >>> plain_method(make_method("interpolate", {}))
        {'name': 'interpolate', 't': 0.5}
    """
    return {"name": kebab_name(type(method)), **method_fields(method)}


def _plain(value: object) -> object:
    if isinstance(value, Method):
        return plain_method(value)
    if isinstance(value, Grid):
        return {name: [_plain(one) for one in listed] for name, listed in value.items()}
    if isinstance(value, tuple):
        return [_plain(one) for one in cast(tuple[object, ...], value)]
    return value
