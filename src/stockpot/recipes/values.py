"""What may stand in a recipe beside plain text and numbers: methods, roles, copies and sizes.

Each reader raises a FieldError; pydantic, which knows where in the recipe the value stands, sees a
ValueError with the same words.
"""

from collections.abc import Callable, Mapping
from typing import Annotated, cast

from pydantic import Field, PlainValidator, StrictStr

from ..checkpoints.roles import Role
from ..core import Method
from ..errors import FieldError
from ..methods.catalogue import make_method, nearest
from .sizes import parse_size


def read_method(value: object) -> Method:
    """A method: its name, a mapping of its name and its fields, or the value itself.

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


def read_role(value: object) -> Role:
    """A role by its name; a tied alias goes with the tensor it is tied to, so it is none."""
    roles = [role.value for role in Role if role is not Role.TIED_ALIAS]
    if not isinstance(value, str) or value not in roles:
        raise FieldError(f"there is no role '{str(value)[:80]}'{nearest(str(value), roles)}")
    return Role(value)


def read_copy(value: object) -> str | int:
    """What is copied; whether there is such a model is for the recipe to say."""
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise FieldError("must be 'base', a model's path as under models, or its index from 0.")
    return value


def read_size(value: object) -> int:
    """A number of bytes."""
    return parse_size(value if isinstance(value, int) else str(value))


def _validator(read: Callable[[object], object]) -> PlainValidator:
    def located(value: object) -> object:
        try:
            return read(value)
        except FieldError as error:
            raise ValueError(str(error)) from None

    return PlainValidator(located)


Number = Annotated[float, Field(strict=True, allow_inf_nan=False)]
Text = Annotated[StrictStr, Field(min_length=1)]
MethodValue = Annotated[Method, _validator(read_method)]
RoleValue = Annotated[Role, _validator(read_role)]
CopyValue = Annotated[str | int, _validator(read_copy)]
SizeValue = Annotated[int, _validator(read_size)]
