"""A method that is a function of a stack: one frozen class for it, with its arguments as fields."""

import math
from collections.abc import Callable, Mapping
from dataclasses import MISSING, field, is_dataclass, make_dataclass
from functools import cache, partial
from inspect import Parameter, signature
from typing import Any, ClassVar, cast, overload

from ..core import Costs, Method, Needs, Reach, Settled, Stack
from ..errors import FieldError
from ..functions import find_object
from ..lazy import Tensor
from ..values.fields import field_specs

ANY_TENSOR = Needs(whole=True, symmetric=False)
"""What is assumed of a function: that it makes one tensor of the same tensor of each model, which
it sees whole and in its own shape; no law beyond that."""

Map = Callable[..., Tensor]
"""A function of a `Stack`, and of numbers and words by their names."""


@overload
def from_function(function: Map, /, *, needs: Needs = ANY_TENSOR) -> type[Method]: ...
@overload
def from_function(*, needs: Needs) -> Callable[[Map], type[Method]]: ...
def from_function(
    function: Map | None = None, /, *, needs: Needs = ANY_TENSOR
) -> type[Method] | Callable[[Map], type[Method]]:
    """The method class of a function of a stack, whose other arguments are its fields.

    Nothing is assumed of the function but that its result hangs on the stack and its arguments
    alone. It is given whole tensors, so that norms and sorted values are right, and takes as much
    memory. One that computes each element from the same element of the models alone says so, and
    streams: `from_function(needs=Needs())`. `stockpot.testing.check_method` tries what is declared.

    Args:
        function: of a `Stack`; it gives a new tensor of the rows' shape. Each further argument is
            a field: a number, a word or a truth value by its annotation (`float`,
            `Literal["a", "b"]`, `Annotated[float, Ge(0), Le(1)]`), or by its default.
        needs: its laws, and what it must be supplied with, such as `Needs(base=True)`. What
            surveys and settles is a class.

    Raises:
        FieldError: an argument that can be no field, or needs that no function can have.

    Example:
        >>> import torch, stockpot as sp
        >>> @from_function(needs=Needs())
        ... def largest(stack, *, of: int = 2):
        ...     return torch.stack(list(stack.models)[:of]).amax(0)
        >>> sp.merge([{"w": torch.tensor([k, -k])} for k in (1.0, 2.0, 3.0)], largest(of=3))
        {'w': tensor([ 3., -1.])}
    """
    if function is None:
        return partial(_class_of, needs=needs)
    return _class_of(function, needs)


class FunctionMethod(Method):
    """A method that calls a function."""

    __slots__ = ()
    function: ClassVar[Map]
    declared: ClassVar[Needs]

    @property
    def needs(self) -> Needs:
        """What was declared with the function."""
        return self.declared

    @property
    def costs(self) -> Costs:
        """Room for all rows stacked, twice, and a few more."""
        return Costs(held_rows=8, held_per_model=2)

    def room(self, shape: tuple[int, ...], models: int) -> int:
        """Likewise, for a whole tensor; the rows held beside that are among the costs."""
        return math.prod(shape) * 3 * models

    def __call__(self, stack: Stack, settled: Settled | None) -> Tensor:
        """What the function gives."""
        return type(self).function(stack, **_fields(self))

    def __reduce__(self) -> tuple[Any, ...]:
        return _again, (type(self).called(), _fields(self))


def _fields(method: Method) -> dict[str, Any]:
    return {spec.name: getattr(method, spec.name) for spec in field_specs(type(method))}


def _again(place: str, fields: Mapping[str, Any]) -> Method:
    """A value in another process, where the class is made anew."""
    return method_class(find_object(place, "method"), place)(**fields)


def method_class(found: object, place: str) -> type[Method]:
    """The method class that a user's module has: a class, or one made of a function.

    Raises:
        FieldError: it is neither.
    """
    if isinstance(found, type):
        return _checked(found, place)
    if isinstance(found, Method) or not callable(found):
        kind = type(found).__name__
        raise FieldError(
            f"{place} is a value of {kind}: name its class, and give fields by their names."
        )
    return _class_of(found, ANY_TENSOR)


def _checked(cls: type, place: str) -> type[Method]:
    if not issubclass(cls, Method):
        raise FieldError(f"{place} is no method: it must derive from stockpot.core.Method.")
    if lacking := sorted(cls.__abstractmethods__):
        raise FieldError(f"{place} is no method yet: it has no {' and no '.join(lacking)}.")
    if not is_dataclass(cls):
        raise FieldError(f"{place} must be a dataclass: @dataclass(frozen=True, slots=True).")
    if issubclass(cls, FunctionMethod) and cls.called() != place:
        raise FieldError(
            f"{place} is made of {cls.called()}, under whose name it would be looked for again: "
            "write @from_function(needs=...) above the function."
        )
    return cls


@cache
def _class_of(function: Map, needs: Needs) -> type[Method]:
    place = f"{function.__module__}:{getattr(function, '__qualname__', '?')}"
    try:
        found = list(signature(function, eval_str=True).parameters.values())
    except (NameError, TypeError, ValueError) as error:
        raise FieldError(f"{place} must be a function of a stack: {error}.") from None
    if not found:
        raise FieldError(f"{place} must be a function of a stack; it takes nothing.")
    stack, *others = found
    if stack.kind not in (Parameter.POSITIONAL_ONLY, Parameter.POSITIONAL_OR_KEYWORD):
        raise FieldError(f"{place}: its first argument must be the stack; got {stack}.")
    if needs.reach is not Reach.ELEMENT:
        raise FieldError(f"{place}: a function does not settle anything: write a class.")
    made = make_dataclass(
        function.__name__,
        [_field(place, one) for one in others],
        bases=(FunctionMethod,),
        frozen=True,
        slots=True,
        kw_only=True,
        namespace={
            "__module__": function.__module__,
            "__qualname__": function.__qualname__,
            "__doc__": function.__doc__ or f"The function {place}.",
            "function": staticmethod(function),
            "declared": needs,
        },
    )
    for spec in field_specs(made):
        if spec.kind not in (float, int, bool, str):
            raise FieldError(
                f"{place}: {spec.name} is a {spec.kind.__name__}: fields are numbers, words or "
                "truth values."
            )
    return cast(type[Method], made)


def _field(place: str, parameter: Parameter) -> tuple[str, Any, Any]:
    if parameter.kind not in (Parameter.KEYWORD_ONLY, Parameter.POSITIONAL_OR_KEYWORD):
        raise FieldError(f"{place}: {parameter} can be no field: name every argument.")
    hint: Any = parameter.annotation
    default: Any = MISSING if parameter.default is Parameter.empty else parameter.default
    if hint is Parameter.empty and default is MISSING:
        raise FieldError(f"{place}: {parameter.name} needs a type, such as float, or a default.")
    return (
        parameter.name,
        _kind_of(default) if hint is Parameter.empty else hint,
        field(default=default),
    )


def _kind_of(default: object) -> type[object]:
    return type(default)
