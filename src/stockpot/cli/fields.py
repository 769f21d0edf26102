"""The fields of a value as flags: what a method has in `merge`, a study in `study`."""

import inspect
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Literal, cast

from cyclopts import Group, Parameter
from docstring_parser import parse

from ..recipes.reading.yaml import load_yaml
from ..values.fields import FieldSpec, field_specs
from .command_line import told_by_the_command_line
from .flags import separated

_PLAIN = (float, int, bool, str)
_REQUIRED = inspect.Parameter.empty
"""In place of a default that is not there."""


def field_flags(cls: type, defaults: Mapping[str, object], group: Group) -> list[inspect.Parameter]:
    """A flag for each field, with its default, its bounds, and the words of the docstring."""
    parsed = parse(inspect.cleandoc(cls.__doc__ or "")).params
    described = {p.arg_name: p.description or "" for p in parsed}
    return [
        _flag(spec, defaults.get(spec.name, _REQUIRED), described.get(spec.name, ""), group)
        for spec in field_specs(cls)
    ]


def given_fields(cls: type, arguments: dict[str, Any]) -> dict[str, object]:
    """Take the fields that were given out of a command's arguments.

    One that holds a value of a class, or a grid, was written in YAML.
    """
    found: dict[str, object] = {}
    for spec in field_specs(cls):
        value = arguments.pop(spec.name, None)
        if value is not None:
            written = spec.kind not in _PLAIN
            found[spec.name] = load_yaml(str(value), f"--{spec.name}") if written else value
    return found


def with_fields(
    name: str, defaults: object, group: Group
) -> Callable[[Callable[..., int]], Callable[..., int]]:
    """A command of which one parameter is a value, with a flag for each field in its place."""
    cls = type(defaults)
    values = {spec.name: getattr(defaults, spec.name) for spec in field_specs(cls)}
    flags = field_flags(cls, values, group)

    def decorate(body: Callable[..., int]) -> Callable[..., int]:
        def with_value(*positional: Any, **given: Any) -> int:
            with told_by_the_command_line():
                value = cls(**given_fields(cls, given))
            return body(*positional, **{name: value}, **given)

        own = inspect.signature(body, eval_str=True).parameters.values()
        made = [flag for one in own for flag in (flags if one.name == name else [one])]
        command = made_command(body.__name__, "", with_value, made)
        command.__doc__ = body.__doc__
        return command

    return decorate


def optional_flag(name: str, annotation: Any, default: object) -> inspect.Parameter:
    """A flag of a function that is made up."""
    return inspect.Parameter(
        name, inspect.Parameter.KEYWORD_ONLY, annotation=annotation, default=default
    )


def made_command(
    name: str, doc: str | None, body: Callable[..., int], parameters: list[inspect.Parameter]
) -> Callable[..., int]:
    """A function with a signature that was put together, for cyclopts to turn into flags."""

    def command(*positional: Any, **given: Any) -> int:
        return body(*positional, **given)

    command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    command.__doc__ = (doc or "").split("\n")[0]
    command.__annotations__ = {p.name: p.annotation for p in parameters}
    command.__name__ = name
    return command


def _flag(spec: FieldSpec, default: object, description: str, group: Group) -> inspect.Parameter:
    first, *others = description.split() or [""]
    if first.isascii():  # a symbol such as λ is another one in capitals
        first = f"{first[:1].upper()}{first[1:]}"
    words = " ".join((first, *others)).rstrip(".")
    free = spec.kind is str and not spec.choices and not spec.many
    text = f"{words}." if free else f"{words}. Must be {spec.interval()}.".lstrip(". ")
    if spec.kind not in _PLAIN:
        shown = "" if default is _REQUIRED else f" [default: {default}]"
        parameter = Parameter(help=f"{text}{shown}", group=group, negative="")
        return optional_flag(spec.name, Annotated[str | None, parameter], None)
    if spec.many or spec.per_model or (spec.choices and spec.kind is not str):
        shown = _words(default)
        parameter = Parameter(
            help=text if default in (None, (), _REQUIRED) else f"{text} [default: {shown}]",
            group=group,
            converter=_reader(spec),
            n_tokens=1,
            negative="",
            allow_leading_hyphen=spec.kind in (int, float),
            show_default=False,
        )
        return optional_flag(spec.name, Annotated[Any, parameter], None)
    kind: Any = Literal[spec.choices] if spec.choices else spec.kind
    parameter = Parameter(
        help=text, group=group, allow_leading_hyphen=spec.kind in (int, float), n_tokens=None
    )
    kind = kind | None if spec.optional else kind
    return optional_flag(spec.name, Annotated[kind, parameter], default)


def _words(default: object) -> str:
    many = cast(tuple[object, ...], default) if isinstance(default, tuple) else (default,)
    return ",".join(map(str, many))


def _reader(spec: FieldSpec) -> Callable[[object, Any], object]:
    """Values between commas; a single one by itself where one may stand."""
    kind = cast(type[Any], spec.kind)

    def read(_: object, tokens: Any) -> object:
        text = cast(str, tokens[0].value)
        if text in spec.choices and not spec.many:
            return text
        try:
            found = separated(text, kind)
        except ValueError as error:
            raise ValueError(f"{error}; must be {spec.interval()}") from None
        return found if spec.many or len(found) != 1 else found[0]

    return read
