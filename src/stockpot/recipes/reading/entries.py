"""What may stand in a recipe beside text and numbers: methods, views, roles, copies, sizes."""

from typing import Annotated, cast

from ...checkpoints.roles import Role
from ...core import Method
from ...errors import FieldError
from ...methods.catalogue import read_method
from ...values.fields import nearest
from ...values.from_plain_data import Reads
from ...views import FAMILY, Renamed, View
from .sizes import parse_size


def read_role(value: object) -> Role:
    """A role by its name; a tied alias goes with the tensor it is tied to, so it is none."""
    roles = [role.value for role in Role if role is not Role.TIED_ALIAS]
    if isinstance(value, Role):
        value = value.value
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


MethodEntry = Annotated[Method, Reads(read_method)]
RoleEntry = Annotated[Role, Reads(read_role)]
CopyEntry = Annotated[str | int, Reads(read_copy)]
ViewsEntry = Annotated[tuple[View, ...], Reads(read_views)]
RenameEntry = Annotated[Renamed, Reads(read_rename)]
SizeEntry = Annotated[int, Reads(read_size)]
