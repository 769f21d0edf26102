"""Recipes from the command line and from Python: a method, models and flags instead of a file."""

import math
from collections.abc import Sequence

from ..core import Method
from ..errors import FieldError
from .model import Recipe, parse_recipe


def build_recipe(
    method: Method,
    models: Sequence[str],
    *,
    base: str | None = None,
    weights: Sequence[float] | None = None,
) -> Recipe:
    """The recipe of one method over some models.

    Args:
        method: how every tensor is merged.
        models: their paths, or how messages shall call them.
        base: the same of the base.
        weights: one raw weight per model; 1 each if not given.

    Raises:
        FieldError: no model, or weights that are not one finite number per model.

    Example:
        >>> from stockpot.methods import Average
        >>> build_recipe(Average(), ["a", "b"], weights=[0.7, 0.3]).weights
        (0.7, 0.3)
    """
    if not models:
        raise FieldError("there is no model to merge.")
    given: Sequence[float | None] = [None] * len(models) if weights is None else weights
    if len(given) != len(models):
        raise FieldError(f"got {len(given)} weights for {len(models)} models: give one per model.")
    if any(weight is not None and not math.isfinite(weight) for weight in given):
        listed = ", ".join(map(str, given))
        raise FieldError(f"weights must be finite numbers; got {listed[:80]}.")
    ingredients = [{"path": p, "weight": w} for p, w in zip(models, given, strict=True)]
    return parse_recipe({"method": method, "base": base, "models": ingredients})


def amend(
    recipe: Recipe,
    *,
    dtype: str | None = None,
    shard_size: str | int | None = None,
    seed: int | None = None,
    missing: str | None = None,
    only: Sequence[str] = (),
    copies: Sequence[str] = (),
) -> Recipe:
    """The recipe with run flags over it; a flag that is None or empty changes nothing.

    Args:
        recipe: the recipe before.
        dtype: instead of `output.dtype`.
        shard_size: instead of `output.shard_size`.
        seed: instead of `seed`.
        missing: instead of `missing`.
        only: instead of `only`.
        copies: `PATTERN=MODEL` each; rules that come before the recipe's own.

    Raises:
        FieldError: a flag that the recipe would not accept.

    Example:
        >>> from stockpot.methods import Average
        >>> recipe = amend(build_recipe(Average(), ["a", "b"]), copies=["head.*=1"])
        >>> recipe.resolved()["rules"]
        [{'match': 'head.*', 'copy': '1'}]
    """
    plain = recipe.resolved()
    output = {"dtype": dtype, "shard_size": shard_size}
    plain["output"] |= {key: value for key, value in output.items() if value is not None}
    flags = {"seed": seed, "missing": missing, "only": list(only) or None}
    plain |= {key: value for key, value in flags.items() if value is not None}
    plain["rules"] = [*map(_copy_rule, copies), *plain.get("rules", [])]
    return parse_recipe(plain)


def _copy_rule(flag: str) -> dict[str, str]:
    pattern, equals, model = flag.partition("=")
    if not (pattern and equals and model):
        raise FieldError(f"--copy takes PATTERN=MODEL, such as 'head.*=base'; got '{flag[:80]}'.")
    return {"match": pattern, "copy": model}
