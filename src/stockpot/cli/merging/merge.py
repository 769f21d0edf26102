"""`stockpot merge METHOD MODEL... --out PATH`: one command per method, its fields as flags."""

import inspect
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any

from cyclopts import App, Group, Parameter

from ...checkpoints.entry import Checkpoint
from ...core import Method
from ...methods import METHODS
from ...methods.catalogue import FAMILY, find_method, make_method, with_defaults
from ...recipes.reading.recipe import Recipe, parse_recipe
from ...recipes.resolving.fit import check_needs, gather
from ...values.family import default_fields
from ...values.fields import kebab_name
from ..command_line import UsageError, told_by_the_command_line
from ..fields import field_flags, given_fields, made_command, optional_flag
from ..flags import MODEL, Base, Numbers, separated
from .reestimate import Anew, ReestimateFlags, perform_anew
from .run_flags import Out, Run, RunFlags

_USAGE = "stockpot merge METHOD MODEL... --out PATH; `stockpot methods` lists the methods."
_FIELDS = Group("Fields of the method", sort_key=1)
_MERGE = Group("What is merged", sort_key=0)

Weights = Annotated[Numbers, Parameter(help="One number per model, such as 0.7,0.3.")]
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

merge_app = App(
    name="merge",
    help="Merge checkpoints: stockpot merge METHOD MODEL... --out PATH.",
    help_epilogue="A MODEL is a file or a directory, or BASE+ADAPTER, one with a PEFT LoRA adapter "
    "on it.",
)


def _command(cls: type[Method]) -> Callable[..., int]:
    """A function whose signature is the method's fields, for cyclopts to turn into flags."""

    def command(*models: str, **given: Any) -> int:
        flags, out = given.get("flags") or RunFlags(), given["out"]
        with told_by_the_command_line():
            if not models:
                raise UsageError(f"no model given: {_USAGE}")
            _refuse_methods(models, cls.called())
            data = {
                "method": make_method(cls.called(), given_fields(cls, given)),
                "models": _ingredients(models, given.get("weights"), given.get("statistics", ())),
                "base": given.get("base"),
            }
            if given.get("decay") is not None:
                data["decay"] = _decay(given["decay"])
            recipe = parse_recipe(flags.onto(data))
            _check_alone(recipe)
        return perform_anew(recipe, out, flags, given.get("anew") or ReestimateFlags())

    kind, method = inspect.Parameter, with_defaults(cls)
    has_statistics = method is None or bool(method.needs.statistics)
    parameters = [
        kind(
            "models",
            kind.VAR_POSITIONAL,
            annotation=Annotated[str, Parameter(group=_MERGE, help=MODEL)],
        ),
        kind("out", kind.KEYWORD_ONLY, annotation=Annotated[Out, Parameter(group=_MERGE)]),
        optional_flag("base", Annotated[Base, Parameter(group=_MERGE)], None),
        optional_flag("weights", Annotated[Weights, Parameter(group=_MERGE)], None),
        optional_flag("decay", Annotated[Decayed, Parameter(group=_MERGE)], None),
        *([optional_flag("statistics", Statistics, ())] if has_statistics else []),
        *field_flags(cls, default_fields(cls), _FIELDS),
        optional_flag("flags", Run, RunFlags()),
        optional_flag("anew", Anew, ReestimateFlags()),
    ]
    return made_command(kebab_name(cls), cls.__doc__, command, parameters)


def _is_path(word: str) -> bool:
    return "/" in word or bool(Path(word).suffix) or Path(word[:200]).exists()


def _refuse_methods(models: Sequence[str], method: str) -> None:
    """A method's name among the models, where no file is called so."""
    for model in models:
        if model in FAMILY.by_name and not Path(model).exists():
            raise UsageError(
                f"'{model}' is a method, and stands among the models; a merge has one method, here "
                f"{method}. Leave one of them out."
            )


def _check_alone(recipe: Recipe) -> None:
    """Refuse what names alone show: a missing base, too many models, weights that sum to zero."""
    models = [Checkpoint(ingredient.path, {}) for ingredient in recipe.models]
    base = None if recipe.base is None else Checkpoint(recipe.base, {})
    given = [Checkpoint(one.statistics, {}) for one in recipe.models if one.statistics]
    check_needs([recipe.method], gather(recipe, models, base, given))


def _ingredients(
    models: tuple[str, ...], weights: tuple[float, ...] | None, statistics: tuple[str, ...]
) -> list[dict[str, object]]:
    refuse_other_count(weights, len(models))
    found: list[dict[str, object]] = [{"path": path} for path in models]
    if weights is not None:
        found = [one | {"weight": w} for one, w in zip(found, weights, strict=True)]
    if statistics:
        if len(statistics) != len(models):
            raise UsageError(f"--statistics has {len(statistics)} files for {len(models)} models.")
        found = [one | {"statistics": s} for one, s in zip(found, statistics, strict=True)]
    return found


def refuse_other_count(weights: tuple[float, ...] | None, models: int) -> None:
    """Weights are one number per model, where they are given."""
    if weights is not None and len(weights) != models:
        many = "number" if len(weights) == 1 else "numbers"
        raise UsageError(
            f"--weights has {len(weights)} {many} for {models} models: give one for each."
        )


def _decay(text: str) -> str | tuple[float, ...]:
    """Numbers, or a name; what is neither is for the recipe to refuse."""
    try:
        return separated(text, float)
    except ValueError:
        return text


def offer(name: str, others: Sequence[str]) -> None:
    """Let `merge` have a command for a method that is not stockpot's own.

    Args:
        name: what stands where a method should.
        others: the words after it.

    Raises:
        StockpotError: there is no such method, or something else stands in its place.
    """
    if name.startswith("-"):
        raise UsageError(f"{name[:80]} stands before the method: {_USAGE}")
    if name not in FAMILY.by_name and ":" not in name and _is_path(name):
        method = next((word for word in others if word in FAMILY.by_name), None)
        wanted = f"put {method} before the models" if method else "add one, such as average"
        raise UsageError(
            f"'{name[:80]}' is no method, and the method stands before the models: {wanted}. "
            f"{_USAGE}"
        )
    cls = find_method(name)
    if name not in FAMILY.by_name:
        if name in merge_app:  # of an earlier command line in this process
            del merge_app[name]
        merge_app.command(_command(cls), name=name)


for _cls in METHODS:
    merge_app.command(_command(_cls), name=kebab_name(_cls))
