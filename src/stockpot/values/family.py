"""A family of values: the classes that a name may mean, and their values as plain data.

    Family("method", METHODS).read({"name": "ties", "density": 0.2})

A value is written as its name, or as a mapping of its name and its fields; a field may hold a value
of another family. What YAML, results files and the command line say of a value goes through here.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import MISSING, fields
from functools import cached_property
from typing import Any, Generic, Protocol, TypeVar, cast

from ..errors import FieldError
from .fields import Grid, Texts, field_specs, find_field, kebab_name, nearest

T = TypeVar("T")


class Elsewhere(Protocol):
    """What names of a family may mean beside its classes."""

    def names(self) -> Iterable[str]:
        """Those that a message may propose."""
        ...

    def find(self, name: str) -> type[Any] | None:
        """The class of a name; None where there is none."""
        ...

    def adopt(self, value: object) -> object | None:
        """The value of the family that something else stands for; None where it does not."""
        ...


class Family(Generic[T]):
    """The classes of one kind of value, by name.

    Args:
        kind: what a value of it is called in messages.
        classes: frozen dataclasses that check their fields; their names in kebab case.
        of: what all classes derive from, or a union; a field that holds a value is annotated with
            it. Its `name_key` is the key of a value's name in files, where that is not "name".
        inner: families of what fields may hold, beside the family itself.
        elsewhere: what else a name may mean.
    """

    def __init__(
        self,
        kind: str,
        classes: Sequence[type[T]],
        of: Any,
        inner: "Sequence[Family[Any]]" = (),
        elsewhere: Elsewhere | None = None,
    ) -> None:
        self.kind, self.classes, self.of = kind, tuple(classes), of
        self.name_key: str = getattr(of, "name_key", "name")
        self._elsewhere = elsewhere
        self._inner: Mapping[Any, Family[Any]] = {one.of: one for one in (*inner, self)}

    @cached_property
    def by_name(self) -> Mapping[str, type[T]]:
        """The classes by their names, in their order."""
        return {kebab_name(cls): cls for cls in self.classes}

    def find(self, name: str, beside: Iterable[str] = (), most: int = 12) -> type[T]:
        """The class of a name.

        Args:
            name: of a class of the family, or one that is known elsewhere.
            beside: words that might have stood there too, to be proposed.
            most: how many words are proposed where none is near.

        Raises:
            FieldError: there is none; the text names the nearest.
        """
        if name in self.by_name:
            return self.by_name[name]
        if self._elsewhere is None:
            names = (*beside, *self.by_name)
        else:
            if (found := self._elsewhere.find(name)) is not None:
                return found
            names = (*beside, *self.by_name, *self._elsewhere.names())
        raise FieldError(f"there is no {self.kind} '{name[:80]}'{nearest(name, names, most)}")

    def make(self, name: str, given: Mapping[str, object]) -> T:
        """The value of a name and fields; fields that are not given keep their defaults.

        Raises:
            FieldError: an unknown name or field, one that is required and missing, or a value out
                of its bounds.
        """
        cls = self.find(name)
        values = {field: self._read_field(cls, field, value) for field, value in given.items()}
        if missing := [field for field in required_fields(cls) if field not in given]:
            raise FieldError(f"{name} needs its field '{missing[0]}'.")
        return cls(**values)

    def read(self, value: object) -> T:
        """The value of its name, of a mapping of its name and its fields, or itself.

        Raises:
            FieldError: it is none of these, or `make` refuses it.
        """
        if isinstance(value, self.of):
            return cast(T, value)
        if isinstance(value, str):
            return self.make(value, {})
        if isinstance(value, Mapping):
            given = {str(key): item for key, item in cast(Mapping[object, object], value).items()}
            name = given.pop(self.name_key, None)
            if isinstance(name, str):
                return self.make(name, given)
        adopted = None if self._elsewhere is None else self._elsewhere.adopt(cast(object, value))
        if adopted is not None:
            return cast(T, adopted)
        name = f"{'an' if self.kind[0] in 'aeiou' else 'a'} {self.kind}'s name"
        raise FieldError(f"must be {name}, or {{{self.name_key}: ..., and its fields}}.")

    def _read_field(self, cls: type[T], field: str, value: object) -> object:
        spec = find_field(cls, field)
        family = self._inner.get(spec.kind)
        if family is None or not isinstance(value, str | Mapping) or value in spec.choices:
            return value
        try:
            if isinstance(value, str):
                family.find(value, spec.choices, most=40)
            return family.read(cast(object, value))
        except FieldError as error:
            raise FieldError(f"{kebab_name(cls)}: {field}: {error}") from None


def required_fields(cls: type) -> list[str]:
    """Names of the fields that have no default."""
    return [
        field.name
        for field in fields(cls)
        if field.default is MISSING and field.default_factory is MISSING
    ]


def default_fields(cls: type) -> dict[str, object]:
    """The fields that have a default, with it."""
    if not required_fields(cls):
        value = cls()
        return {field.name: getattr(value, field.name) for field in fields(cls)}
    return {
        field.name: field.default if field.default_factory is MISSING else field.default_factory()
        for field in fields(cls)
        if field.name not in required_fields(cls)
    }


def plain_fields(value: object) -> dict[str, object]:
    """Every field and its value, as JSON and YAML have them: a tuple is a list."""
    return {spec.name: plain_field(getattr(value, spec.name)) for spec in field_specs(type(value))}


def plain_value(value: object) -> dict[str, object]:
    """The value as a file writes it: its name and its fields; `Family.read` reads it back."""
    key = getattr(type(value), "name_key", "name")
    return {key: name_of(type(value)), **plain_fields(value)}


def name_of(cls: type) -> str:
    """What files and tables call a class: as it says itself (`called`), else in kebab case."""
    called: Callable[[], str] | None = getattr(cls, "called", None)
    return kebab_name(cls) if called is None else called()


def plain_field(value: object) -> object:
    """What a field holds, as JSON and YAML have it."""
    if value is None or isinstance(value, str | bool | int | float):
        return value
    if isinstance(value, Grid):
        return {name: [plain_field(one) for one in listed] for name, listed in value.items()}
    if isinstance(value, Texts):
        return dict(value)
    if isinstance(value, tuple):
        return [plain_field(one) for one in cast(tuple[object, ...], value)]
    return plain_value(value)


def told_apart(values: Sequence[object]) -> list[str]:
    """A name for each value: its own, with the fields that tell it from others of its class.

    Equal values have equal names.
    """
    names: list[str] = []
    for one in values:
        kin = [other for other in values if type(other) is type(one)]
        alike, own = [plain_fields(other) for other in kin], plain_fields(one)
        shown = own | {
            key: f"({held})" if " " in held else held
            for key in own
            if _is_value(value := getattr(one, key))
            for held in [_held_apart(value, [getattr(other, key) for other in kin])]
        }
        shown |= {
            key: _grid_words(cast(Mapping[str, object], value))
            for key, value in own.items()
            if isinstance(value, dict) and not _is_value(getattr(one, key))
        }
        apart = [f"{key}={shown[key]}" for key in own if any(f[key] != own[key] for f in alike)]
        names.append(" ".join([name_of(type(one)), *apart]))
    return names


def _is_value(value: object) -> bool:
    """Whether a field holds a value of a family, and neither a word nor a number nor a grid."""
    return not (value is None or isinstance(value, str | bool | int | float | tuple | Grid | Texts))


def _held_apart(value: object, among: Sequence[object]) -> str:
    """The name of a value that a field holds, told apart from what others hold there."""
    return told_apart([value, *(one for one in among if _is_value(one))])[0]


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
