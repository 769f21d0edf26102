"""A method is a value: it prints, compares, travels, is found again by its name, and is bounded."""

import copy
import pickle
from dataclasses import FrozenInstanceError, replace
from typing import Any, cast

from annotated_types import Ge, Gt, Le, Lt

from .. import methods
from ..core import Method
from ..errors import FieldError
from ..methods.catalogue import plain_method, read_method
from ..values.fields import FieldSpec, field_specs


def is_a_value(method: Method) -> None:
    """It is frozen, equal to its copies, and its repr gives it again."""
    names = {**vars(methods), type(method).__name__: type(method)}
    _law(copy.copy(method) == method, "a copy of it is another value")
    _law(hash(copy.copy(method)) == hash(method), "a copy of it has another hash")
    _law(eval(repr(method), names) == method, f"{method!r} is not what makes it again")
    for spec in field_specs(type(method)):
        try:
            setattr(method, spec.name, getattr(method, spec.name))
        except (FrozenInstanceError, AttributeError, TypeError):
            continue
        raise AssertionError(f"{spec.name} can be set: write @dataclass(frozen=True, slots=True)")


def is_found_again(method: Method) -> None:
    """Files and other processes find it by its name, with the same fields."""
    told = plain_method(method)
    _law(read_method(told) == method, f"what a recipe writes, {told}, is another method")
    _law(pickle.loads(pickle.dumps(method)) == method, "in another process it is another method")


def refuses_what_is_out_of_bounds(method: Method) -> None:
    """Fields are checked: a value beyond the bounds, or of another kind, is a FieldError."""
    for spec in field_specs(type(method)):
        for value in (object(), *beyond(spec)):
            try:
                replace(cast(Any, method), **{spec.name: value})
            except FieldError:
                continue
            raise AssertionError(
                f"{spec.name} takes {value!r:.40}, which its annotation excludes: a "
                "__post_init__ of one's own calls check_fields(self)"
            )


def beyond(spec: FieldSpec) -> list[float]:
    """Numbers that the bounds of a field exclude."""
    found = list[float]()
    for bound in spec.bounds:
        match bound:
            case Gt(x) | Lt(x):
                found.append(cast(float, x))
            case Ge(x) if cast(float, x) > -1e300:
                found.append(cast(float, x) - 1)
            case Le(x) if cast(float, x) < 1e300:
                found.append(cast(float, x) + 1)
            case _:
                pass
    return [spec.kind(one) for one in found] if spec.kind in (int, float) else []  # type: ignore


def _law(holds: bool, otherwise: str) -> None:
    if not holds:
        raise AssertionError(otherwise)
