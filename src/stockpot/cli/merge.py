"""`stockpot merge METHOD MODEL... --out PATH`: one command per method, its fields as flags."""

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any, Literal

from cyclopts import App, Group, Parameter
from docstring_parser import parse

from ..checkpoints.entry import Checkpoint
from ..core import Method
from ..values.fields import FieldSpec, field_specs, kebab_name
from ..methods import METHODS
from ..methods.catalogue import make_method
from ..recipes.fit import check_needs, gather
from ..recipes.model import Recipe, parse_recipe
from ..recipes.yaml import load_yaml
from .flags import Out, Run, RunFlags
from .perform import perform
from .usage import UsageError, told_by_the_command_line

_FIELDS = Group("Fields of the method", sort_key=1)
_MERGE = Group("What is merged", sort_key=0)

Base = Annotated[str | None, Parameter(help="What the models were fine-tuned from.")]
Weights = Annotated[
    str | None,
    Parameter(help="One number per model, such as 0.7,0.3.", allow_leading_hyphen=True),
]
Decayed = Annotated[
    str | None,
    Parameter(
        help="Weights of checkpoints of one run, oldest first, that stand for a decay of the "
        "learning rate: linear, cosine, 1-sqrt, or numbers that fall, such as 0.8,0.4."
    ),
]

Statistics = Annotated[
    tuple[str, ...],
    Parameter(
        help="A file for each model, in their order: of its data, from `stockpot statistics`.",
        group=_MERGE,
        consume_multiple=True,
        negative="",
    ),
]

merge_app = App(name="merge", help="Merge checkpoints: stockpot merge METHOD MODEL... --out PATH.")


def _command(cls: type[Method]) -> Callable[..., int]:
    """A function whose signature is the method's fields, for cyclopts to turn into flags."""
    specs = field_specs(cls)

    def command(*models: str, **given: Any) -> int:
        fields = {s.name: given.pop(s.name) for s in specs if given.get(s.name) is not None}
        flags, out = given.get("flags") or RunFlags(), given["out"]
        with told_by_the_command_line():
            if not models:
                raise UsageError("no model given: stockpot merge METHOD MODEL... --out PATH.")
            data = {
                "method": make_method(kebab_name(cls), _read(specs, fields)),
                "models": _ingredients(models, given.get("weights"), given.get("statistics", ())),
                "base": given.get("base"),
            }
            if given.get("decay") is not None:
                data["decay"] = _decay(given["decay"])
            recipe = parse_recipe(flags.onto(data))
            _check_alone(recipe)
        return perform(recipe, out, flags)

    described = {
        p.arg_name: p.description for p in parse(inspect.cleandoc(cls.__doc__ or "")).params
    }
    kind = inspect.Parameter
    parameters = [
        kind("models", kind.VAR_POSITIONAL, annotation=Annotated[str, Parameter(group=_MERGE)]),
        kind("out", kind.KEYWORD_ONLY, annotation=Annotated[Out, Parameter(group=_MERGE)]),
        _optional("base", Annotated[Base, Parameter(group=_MERGE)], None),
        _optional("weights", Annotated[Weights, Parameter(group=_MERGE)], None),
        _optional("decay", Annotated[Decayed, Parameter(group=_MERGE)], None),
        *([_optional("statistics", Statistics, ())] if cls().needs.statistics else []),
        *(_field(spec, getattr(cls(), spec.name), described.get(spec.name)) for spec in specs),
        _optional("flags", Run, RunFlags()),
    ]
    command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    command.__doc__ = (cls.__doc__ or "").split("\n")[0]
    command.__annotations__ = {p.name: p.annotation for p in parameters}
    command.__name__ = kebab_name(cls)
    return command


def _read(specs: Sequence[FieldSpec], fields: Mapping[str, object]) -> dict[str, object]:
    """The fields, where they hold a method or a grid read from the text of a recipe."""
    written = [s.name for s in specs if s.kind not in (float, int, bool, str)]
    return {
        name: load_yaml(str(value), f"--{name}") if name in written else value
        for name, value in fields.items()
    }


def _check_alone(recipe: Recipe) -> None:
    """Refuse what names alone show: a missing base, too many models, weights that sum to zero."""
    models = [Checkpoint(ingredient.path, {}) for ingredient in recipe.models]
    base = None if recipe.base is None else Checkpoint(recipe.base, {})
    given = [Checkpoint(one.statistics, {}) for one in recipe.models if one.statistics]
    check_needs([recipe.method], gather(recipe, models, base, given))


def _optional(name: str, annotation: Any, default: object) -> inspect.Parameter:
    return inspect.Parameter(
        name, inspect.Parameter.KEYWORD_ONLY, annotation=annotation, default=default
    )


def _field(spec: FieldSpec, default: object, description: str | None) -> inspect.Parameter:
    text = f"{' '.join((description or '').split())} Must be {spec.interval()}."
    parameter = Parameter(
        help=text, group=_FIELDS, allow_leading_hyphen=spec.kind in (int, float), n_tokens=None
    )
    kind: Any = spec.kind
    if spec.kind is str:
        kind = Literal[spec.choices]
    elif spec.kind not in (float, int, bool):
        parameter = Parameter(help=f"{text} [default: {default}]", group=_FIELDS, negative="")
        kind, default = str | None, None
    elif spec.per_model:
        kind = float | tuple[float, ...]
        parameter = Parameter(help=text, group=_FIELDS, converter=_numbers, n_tokens=1, negative="")
    return _optional(spec.name, Annotated[kind, parameter], default)


def _numbers(_: object, tokens: Any) -> float | tuple[float, ...]:
    numbers = parse_numbers(tokens[0].value)
    return numbers[0] if len(numbers) == 1 else numbers


def parse_numbers(text: str) -> tuple[float, ...]:
    """Numbers separated by commas."""
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError:
        raise ValueError(f"'{text[:80]}' is not a number, or numbers separated by commas") from None


def _ingredients(
    models: tuple[str, ...], weights: str | None, statistics: tuple[str, ...]
) -> list[dict[str, object]]:
    numbers = read_weights(weights, len(models))
    found: list[dict[str, object]] = [{"path": path} for path in models]
    if numbers is not None:
        found = [one | {"weight": w} for one, w in zip(found, numbers, strict=True)]
    if statistics:
        if len(statistics) != len(models):
            raise UsageError(f"--statistics has {len(statistics)} files for {len(models)} models.")
        found = [one | {"statistics": s} for one, s in zip(found, statistics, strict=True)]
    return found


def read_weights(weights: str | None, models: int) -> tuple[float, ...] | None:
    """One number per model, where they are given."""
    if weights is None:
        return None
    try:
        numbers = parse_numbers(weights)
    except ValueError as error:
        raise UsageError(f"--weights: {error}.") from None
    if len(numbers) != models:
        raise UsageError(f"--weights has {len(numbers)} numbers for {models} models.")
    return numbers


def _decay(text: str) -> str | list[float]:
    try:
        return list(parse_numbers(text))
    except ValueError:
        return text


for _cls in METHODS:
    merge_app.command(_command(_cls), name=kebab_name(_cls))
