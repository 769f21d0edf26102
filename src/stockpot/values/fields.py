"""The fields of what a user chooses: one check of type and bounds for Python, YAML and flags.

A field is annotated with what it may be: `Fraction`, `Annotated[float, Gt(0)]`, `bool`, `str`, a
`Literal` of words, a `Literal` or a number, `tuple[..., ...]` of one of them for several, `... |
None` where it may be left out, or `PerModel[...]` for one number or one per model. A field may also
hold another value such as a method, alone or in place of a word, a mapping of another method's
fields to lists of values, which is kept as a `Grid`, or one of texts to texts, kept as `Texts`.
"""

import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from difflib import get_close_matches
from functools import cache
from numbers import Real
from types import NoneType, UnionType
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

from annotated_types import Ge, Gt, Le, Lt

from ..errors import FieldError

T = TypeVar("T")
PerModel = Union[T, tuple[T, ...]]  # noqa: UP007 - an alias generic in T needs Union on 3.11
"""The type of a field that takes one number, or one per model."""

Fraction = Annotated[float, Gt(0), Le(1)]
Finite = Annotated[float, Ge(-math.inf), Le(math.inf)]
"""Any finite number; that a number is finite is checked whatever its bounds."""


def kebab_name(cls: type) -> str:
    """TaskArithmetic is task-arithmetic, TsvM is tsv-m, or what the class has as `written_name`."""
    own = cast(str, getattr(cls, "written_name", ""))
    return own or re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "-", cls.__name__).lower()


def per_model(value: PerModel[float], count: int) -> tuple[float, ...]:
    """A PerModel field's value for each of `count` models."""
    return value if isinstance(value, tuple) else (value,) * count


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


@dataclass(frozen=True, slots=True, repr=False)
class Grid(Mapping[str, tuple[object, ...]]):
    """Field names and the values that each takes; a value itself, written as a dict.

    Example:
        >>> Grid.of({"scale": [0.5, 1.0]})
        {'scale': (0.5, 1.0)}
    """

    entries: tuple[tuple[str, tuple[object, ...]], ...]

    @classmethod
    def of(cls, values: Mapping[str, Iterable[object]]) -> "Grid":
        """The grid of a mapping, in its order."""
        return cls(tuple((name, tuple(listed)) for name, listed in values.items()))

    def __getitem__(self, name: str) -> tuple[object, ...]:
        return dict(self.entries)[name]

    def __iter__(self) -> Iterator[str]:
        return (name for name, _ in self.entries)

    def __len__(self) -> int:
        return len(self.entries)

    def __repr__(self) -> str:
        return repr(dict(self.entries))


@dataclass(frozen=True, slots=True, repr=False)
class Texts(Mapping[str, str]):
    """A mapping of texts to texts, in its order; a value itself, written as a dict.

    Example:
        >>> Texts((("a", "b"),))
        {'a': 'b'}
    """

    entries: tuple[tuple[str, str], ...]

    def __getitem__(self, name: str) -> str:
        return dict(self.entries)[name]

    def __iter__(self) -> Iterator[str]:
        return (name for name, _ in self.entries)

    def __len__(self) -> int:
        return len(self.entries)

    def __repr__(self) -> str:
        return repr(dict(self.entries))


@dataclass(frozen=True, slots=True)
class FieldSpec:
    """What one field may be.

    Attributes:
        name: the field's.
        kind: of one value: float, int, bool, str, or a class of values.
        bounds: of a number.
        choices: words; all that a str may be, or words in place of another kind.
        per_model: one value, or one per model.
        many: any number of values, as a tuple.
        optional: None may stand in its place.
    """

    name: str
    kind: type[object]
    bounds: tuple[Gt | Ge | Lt | Le, ...]
    choices: tuple[str, ...]
    per_model: bool
    many: bool = False
    optional: bool = False

    def interval(self) -> str:
        """The legal values in words or interval notation, such as (0, 1]."""
        one = self._interval()
        if self.many:
            one = f"a list, each {one.removeprefix('in ') if self.kind is str else one}"
        return f"{one}, or nothing" if self.optional else one

    def _interval(self) -> str:
        words = "one of " + ", ".join(self.choices)
        if self.kind is str:
            return words if self.choices else "text"
        if self.kind is bool:
            return "true or false"
        if self.kind is Grid:
            return "a mapping of fields to lists of values"
        if self.kind is Texts:
            return "a mapping of texts to texts"
        if self.kind not in (float, int):
            value = f"a {kebab_name(self.kind)}"
            return f"{words}, or {value}" if self.choices else value
        low, high = "(-∞", "∞)"
        for bound in self.bounds:
            match bound:
                case Gt(gt):
                    low = f"({gt}"
                case Ge(ge):
                    low = f"[{ge}" if ge != -math.inf else low
                case Lt(lt):
                    high = f"{lt})"
                case Le(le):
                    high = f"{le}]" if le != math.inf else high
        number = f"in {low}, {high}" if self.kind is float else f"a whole number in {low}, {high}"
        return f"{words}, or {number}" if self.choices else number

    def admits(self, value: object) -> bool:
        """Whether one value, not a tuple of them, is legal."""
        if self.kind is str or (self.choices and isinstance(value, str)):
            return isinstance(value, str) and (not self.choices or value in self.choices)
        if self.kind not in (float, int, bool):
            return isinstance(value, self.kind)
        if self.kind is bool or isinstance(value, bool):
            return self.kind is bool and isinstance(value, bool)
        if not isinstance(value, Real) or (self.kind is int and not isinstance(value, int)):
            return False
        try:
            number = float(value)
        except OverflowError:  # a whole number beyond the floats
            return False
        if not math.isfinite(number):
            return False
        exact = value if isinstance(value, int) else number  # 2**63 - 1 is no float
        return all(_within(exact, bound) for bound in self.bounds)


def _within(number: float, bound: Gt | Ge | Lt | Le) -> bool:
    match bound:
        case Gt(gt):
            return number > cast(float, gt)
        case Ge(ge):
            return number >= cast(float, ge)
        case Lt(lt):
            return number < cast(float, lt)
        case Le(le):
            return number <= cast(float, le)


@cache
def field_specs(cls: type) -> tuple[FieldSpec, ...]:
    """The specification of each field, read once from the annotations."""
    hints = get_type_hints(cls, include_extras=True)
    return tuple(_spec(f.name, hints[f.name]) for f in fields(cast(Any, cls)))


def _spec(name: str, hint: Any) -> FieldSpec:
    if get_origin(hint) in (Union, UnionType):
        return _spec_of_several(name, get_args(hint))
    if get_origin(hint) is tuple:
        return replace(_spec(name, get_args(hint)[0]), many=True)
    if get_origin(hint) is Annotated:
        kind, *bounds = get_args(hint)
        return FieldSpec(name, kind, tuple(bounds), (), False)
    if get_origin(hint) is Mapping:
        kind = Texts if get_args(hint)[1] is str else Grid
        return FieldSpec(name, kind, (), (), False)
    if get_origin(hint) is Literal:
        return FieldSpec(name, str, (), get_args(hint), False)
    return FieldSpec(name, hint, (), (), False)


def _spec_of_several(name: str, hints: tuple[Any, ...]) -> FieldSpec:
    """Of a union: something or nothing; one value or one per model; words or another kind."""
    if NoneType in hints:
        rest = Union[tuple(one for one in hints if one is not NoneType)]  # noqa: UP007 - built here
        return replace(_spec(name, rest), optional=True)
    first, second = (_spec(name, one) for one in hints)
    if second.many:
        return replace(first, per_model=True)
    return replace(second, choices=first.choices)


def find_field(cls: type, name: str) -> FieldSpec:
    """What the field of that name of a class of values may be.

    Raises:
        FieldError: the class has no such field; the text names the nearest.
    """
    specs = {spec.name: spec for spec in field_specs(cls)}
    if name not in specs:
        raise FieldError(f"{kebab_name(cls)} has no field '{name[:80]}'{nearest(name, specs)}")
    return specs[name]


def _is_sequence(value: object) -> bool:
    return isinstance(value, list | tuple)


def _as_grid(value: object) -> object:
    """A mapping of names to lists as a grid; whatever else as it is."""
    if isinstance(value, Grid) or not isinstance(value, Mapping):
        return value
    listed = cast(Mapping[object, Sequence[object]], value)
    fits = all(isinstance(name, str) and _is_sequence(many) for name, many in listed.items())
    return Grid.of(cast(Mapping[str, Sequence[object]], listed)) if fits else cast(object, value)


def _as_texts(value: object) -> object:
    """A mapping of texts to texts as a value; whatever else as it is."""
    if isinstance(value, Texts) or not isinstance(value, Mapping):
        return value
    pairs = tuple(cast(Mapping[object, object], value).items())
    fits = pairs and all(isinstance(text, str) for pair in pairs for text in pair)
    return Texts(cast(tuple[tuple[str, str], ...], pairs)) if fits else cast(object, value)


def check_fields(chosen: object) -> None:
    """Enforce type, bounds and finiteness of every field; the one place that does.

    Whole numbers in a float field become floats, lists of a PerModel field tuples and mappings of a
    Grid or Texts field grids and texts, so that equal settings are equal values.

    Raises:
        FieldError: naming the class, the field, what it may be and what it got.
    """
    for spec in field_specs(type(chosen)):
        value: object = getattr(chosen, spec.name)
        if spec.optional and value is None:
            continue
        if spec.kind is Grid:
            value = _as_grid(value)
        elif spec.kind is Texts:
            value = _as_texts(value)
        many = (spec.per_model or spec.many) and _is_sequence(value)
        values = tuple(cast(Sequence[object], value)) if many else (value,)
        enough = bool(values) or spec.many
        unfit = [one for one in values if not spec.admits(one)]
        if not enough or many < spec.many or unfit:
            either = ", one number or one per model" if spec.per_model else ""
            value = unfit[0] if spec.many and many else value
            raise FieldError(
                f"{kebab_name(type(chosen))}: {spec.name} must be {spec.interval()}{either}; "
                f"got {str(value)[:80]}."
            )
        if spec.kind is float:
            values = tuple(float(cast(float, one)) for one in values)
        object.__setattr__(chosen, spec.name, values if many else values[0])
