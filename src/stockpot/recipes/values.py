"""What may stand in a recipe beside plain text and numbers: methods, views, roles, copies, sizes.

Each reader raises a FieldError; pydantic, which knows where in the recipe the value stands, sees a
ValueError with the same words.
"""

from collections.abc import Callable
from typing import Annotated, cast

from pydantic import Field, PlainValidator, StrictStr

from ..checkpoints.roles import Role
from ..core import Method
from ..errors import FieldError
from ..methods.catalogue import read_method
from ..values.fields import nearest
from ..views import FAMILY, Renamed, View
from .sizes import parse_size


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


def read_views(value: object) -> tuple[View, ...]:
    """A view by its name and fields, or a list of them, the first one first."""
    several = cast(list[object], value) if isinstance(value, list | tuple) else [value]
    return tuple(FAMILY.read(view) for view in several)


def read_rename(value: object) -> Renamed:
    """A mapping of names, or patterns, to new names."""
    return value if isinstance(value, Renamed) else Renamed(cast(dict[str, str], value))


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
ViewsValue = Annotated[tuple[View, ...], _validator(read_views)]
RenameValue = Annotated[Renamed, _validator(read_rename)]
SizeValue = Annotated[int, _validator(read_size)]
