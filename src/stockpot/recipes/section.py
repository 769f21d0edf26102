"""What recipes and experiments are made of: frozen mappings, and values with bounds."""

from collections.abc import Mapping
from typing import Annotated, ClassVar, Self, cast

from annotated_types import Ge, Gt, Le, Lt
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    PlainValidator,
    StrictStr,
    ValidationError,
    model_validator,
)

from ..errors import FieldError
from ..values.fields import FieldSpec, nearest
from .words import in_plain_words


class Section(BaseModel):
    """A mapping of the file: frozen, and a key it does not have names the nearest it has."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    short: ClassVar[str | None] = None  # the key that a bare string stands for

    @model_validator(mode="before")
    @classmethod
    def _read(cls, data: object) -> object:
        if cls.short and isinstance(data, str):
            return {cls.short: data}
        if isinstance(data, Mapping):
            keys = [field.alias or name for name, field in cls.model_fields.items()]
            for key in cast(Mapping[object, object], data):
                if key not in keys:
                    written = [name for name in keys if "." not in name]
                    raise ValueError(f"unknown key '{str(key)[:80]}'{nearest(str(key), written)}")
        return cast(object, data)

    @classmethod
    def parse(cls, data: object, origin: str, what: str) -> Self:
        """From plain data, as YAML or JSON gives it.

        Args:
            data: a mapping with its keys.
            origin: where it comes from; messages start with it.
            what: it is, in messages.

        Raises:
            FieldError: everything that is wrong, each with its place.
        """
        try:
            return cls.model_validate(data)
        except ValidationError as error:
            raise FieldError(in_plain_words(error, origin, what)) from None


def within(kind: type[float] | type[int] | type[bool], *bounds: Gt | Ge | Lt | Le):
    """A check of one number that says its bounds as the fields of methods do."""
    spec = FieldSpec("", kind, bounds, (), False)

    def check(value: object) -> object:
        if not spec.admits(value):
            raise ValueError(f"must be {spec.interval()}; got {_shown(value)}.")
        return kind(cast(float, value))

    return PlainValidator(check)


def _shown(value: object) -> str:
    if value is None:
        return "nothing"
    if isinstance(value, Mapping | list | tuple):
        return "a mapping" if isinstance(value, Mapping) else "a list"
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."


Switch = Annotated[bool, within(bool)]
Count = Annotated[int, within(int, Ge(1), Le(100_000))]
Index = Annotated[int, within(int, Ge(0), Le(2**31))]
Seed = Annotated[int, within(int, Ge(0), Lt(2**63))]
Positive = Annotated[float, within(float, Gt(0))]
NotNegative = Annotated[float, within(float, Ge(0))]
Part = Annotated[float, within(float, Gt(0), Lt(1))]
"""A fraction that is neither nothing nor all."""
Share = Annotated[float, within(float, Ge(0), Le(1))]
"""A fraction that may be nothing or all."""
Below1 = Annotated[float, within(float, Ge(0), Lt(1))]
Portion = Annotated[float, within(float, Gt(0), Le(1))]
Degrees = Annotated[float, within(float, Ge(0), Le(180))]
Text = Annotated[StrictStr, Field(min_length=1)]
