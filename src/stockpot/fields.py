"""The fields of a method: one check of type and bounds for Python, YAML and flags alike.

A field is annotated with what it may be: `Fraction`, `Annotated[float, Gt(0)]`, `bool`, a `Literal`
of words, or `PerModel[...]` of one of them for one number or one per model.
"""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, fields
from functools import cache
from numbers import Real
from types import UnionType
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

from .errors import FieldError

T = TypeVar("T")
PerModel = Union[T, tuple[T, ...]]  # noqa: UP007 - an alias generic in T needs Union on 3.11
"""The type of a field that takes one number, or one per model."""

Fraction = Annotated[float, Gt(0), Le(1)]
Finite = Annotated[float, Ge(-math.inf), Le(math.inf)]
"""Any finite number; that a number is finite is checked whatever its bounds."""


def kebab_name(cls: type) -> str:
    """TaskArithmetic is task-arithmetic, TsvM is tsv-m."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "-", cls.__name__).lower()


def per_model(value: PerModel[float], count: int) -> tuple[float, ...]:
    """A PerModel field's value for each of `count` models."""
    return value if isinstance(value, tuple) else (value,) * count


@dataclass(frozen=True, slots=True)
class FieldSpec:
    """What one field of a method may be: its kind, bounds, and whether one per model is allowed."""

    name: str
    kind: type[float] | type[int] | type[bool] | type[str]
    bounds: tuple[Gt | Ge | Lt | Le, ...]
    choices: tuple[str, ...]
    per_model: bool

    def interval(self) -> str:
        """The legal values in words or interval notation, such as (0, 1]."""
        if self.choices:
            return "one of " + ", ".join(self.choices)
        if self.kind is bool:
            return "true or false"
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
        return f"in {low}, {high}" if self.kind is float else f"a whole number in {low}, {high}"

    def admits(self, value: object) -> bool:
        """Whether one value, not a tuple of them, is legal."""
        if self.kind is str:
            return isinstance(value, str) and value in self.choices
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
        return all(_within(number, bound) for bound in self.bounds)


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
    if get_origin(hint) in (Union, UnionType):  # PerModel[X] is X | tuple[X, ...]
        inner = _spec(name, get_args(hint)[0])
        return FieldSpec(name, inner.kind, inner.bounds, inner.choices, True)
    if get_origin(hint) is Annotated:
        kind, *bounds = get_args(hint)
        return FieldSpec(name, kind, tuple(bounds), (), False)
    if get_origin(hint) is Literal:
        return FieldSpec(name, str, (), get_args(hint), False)
    return FieldSpec(name, hint, (), (), False)


def _is_sequence(value: object) -> bool:
    return isinstance(value, list | tuple)


def check_fields(method: object) -> None:
    """Enforce type, bounds and finiteness of every field; the one place that does.

    Whole numbers in a float field become floats and lists of a PerModel field become tuples, so
    that equal settings are equal values.

    Raises:
        FieldError: naming the method, the field, what it may be and what it got.
    """
    for spec in field_specs(type(method)):
        value: object = getattr(method, spec.name)
        many = spec.per_model and _is_sequence(value)
        values = tuple(cast(Sequence[object], value)) if many else (value,)
        if not values or not all(spec.admits(one) for one in values):
            either = ", one number or one per model" if spec.per_model else ""
            raise FieldError(
                f"{kebab_name(type(method))}: {spec.name} must be {spec.interval()}{either}; "
                f"got {str(value)[:80]}."
            )
        if spec.kind is float:
            values = tuple(float(cast(float, one)) for one in values)
        object.__setattr__(method, spec.name, values if many else values[0])
