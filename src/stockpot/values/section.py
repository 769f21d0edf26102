"""A mapping of a file as a frozen value, and what it is written as."""

from collections.abc import Mapping
from dataclasses import fields
from enum import Enum
from typing import Any, Self, cast

from .family import plain_value
from .fields import Grid
from .from_plain_data import read, settle_fields


class Section:
    """What a mapping of a file is read as: subclasses are frozen dataclasses.

    Fields are read by their annotations, in Python as in a file, so that equal settings are equal
    values; a field whose metadata have a `key` goes by that one in files.
    """

    __slots__ = ()

    def __post_init__(self) -> None:
        settle_fields(self)
        self.check()

    def check(self) -> None:
        """Refuse what does not go together, with a FieldError; fields are within their bounds."""

    @classmethod
    def rewritten(cls, data: object) -> object:
        """The data of a file as a mapping of the fields, where there is a shorter way to write."""
        return data

    @classmethod
    def parse(cls, data: object, origin: str = "", what: str = "a value") -> Self:
        """The value of plain data, as `stockpot.values.from_plain_data.read`."""
        return read(cls, data, origin, what)

    def plain(self) -> dict[str, Any]:
        """Every field as JSON and YAML have it; `parse` reads it back."""
        return {
            one.metadata.get("key", one.name): plain(getattr(self, one.name))
            for one in fields(cast(Any, self))
        }


def plain(value: object) -> Any:
    """What a field of a section holds, as JSON and YAML have it."""
    if isinstance(value, Section):
        return value.plain()
    if isinstance(value, Enum):
        return value.value
    if value is None or isinstance(value, str | bool | int | float):
        return value
    if isinstance(value, Mapping) and not isinstance(value, Grid):
        entries = cast(Mapping[object, object], value)
        return {str(key): plain(one) for key, one in entries.items()}
    if isinstance(value, list | tuple):
        return [plain(one) for one in cast(list[object], value)]
    return plain_value(value)
