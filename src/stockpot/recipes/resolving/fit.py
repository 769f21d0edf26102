"""Whether methods, models, base and weights fit together; in words where they do not."""

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import torch

from ...checkpoints.entry import Checkpoint
from ...core import Method
from ...errors import MergeError
from ...values.fields import kebab_name
from ..reading.recipe import Recipe


@dataclass(frozen=True, slots=True)
class Participants:
    """The models that take part, their raw weights if any were given, the base, and statistics."""

    models: tuple[Checkpoint, ...]
    weights: tuple[float, ...] | None
    base: Checkpoint | None
    base_is_first: bool
    statistics: tuple[Checkpoint, ...] = ()


def gather(
    recipe: Recipe,
    models: Sequence[Checkpoint],
    base: Checkpoint | None,
    statistics: Sequence[Checkpoint] = (),
) -> Participants:
    """The models of a recipe; the base joins one model where the method takes exactly two."""
    if len(models) != len(recipe.models):
        raise ValueError(f"the recipe has {len(recipe.models)} models, not {len(models)}")
    if (base is None) != (recipe.base is None):
        raise ValueError("the base must be given where the recipe has one, and nowhere else")
    needs = recipe.method.needs
    if statistics and len(statistics) != len(models):
        raise MergeError(f"got statistics of {len(statistics)} models for {len(models)} models.")
    if base is not None and len(models) == 1 and needs.models == (2, 2) and not needs.base:
        weights = None if recipe.weights is None else (1.0, *recipe.weights)
        return Participants((base, *models), weights, base, True)
    return Participants(tuple(models), recipe.weights, base, False, tuple(statistics))


def check_needs(methods: Collection[Method], ingredients: Participants) -> None:
    """Refuse what a method cannot work with: base, number of models, weights, fields per model.

    Raises:
        MergeError: naming the method, what it needs, what it got and what to do.
    """
    count = len(ingredients.models)
    for method in methods:
        name, needs = kebab_name(type(method)), method.needs
        if needs.base and ingredients.base is None:
            raise MergeError(f"{name} needs a base model: pass --base, or use 'average'.")
        if needs.statistics:
            kinds = " and ".join(one.name for one in needs.statistics)
            _check_statistics(name, kinds, ingredients)
        low, high = needs.models
        if count < low or (high is not None and count > high):
            raise MergeError(_wrong_count(name, needs.models, count, needs.base))
        if misfit := method.misfit(count):
            raise MergeError(f"{name}: {misfit}")
        if ingredients.weights is not None and needs.weights == "mean":
            mean_weights(ingredients.weights, name)
        if ingredients.weights is not None and needs.statistics and min(ingredients.weights) < 0:
            raise MergeError(f"{name} takes no negative weights: it divides by what they weigh.")
    if ingredients.statistics and not any(method.needs.statistics for method in methods):
        raise MergeError("statistics are given, and no method uses them: leave them out.")
    idle = [method for method in methods if method.needs.weights == "unused"]
    if ingredients.weights is not None and idle and len(idle) == len(methods):
        raise MergeError(
            f"{kebab_name(type(idle[0]))} takes no weights: leave them out, or use 'average'."
        )


def _check_statistics(name: str, kinds: str, ingredients: Participants) -> None:
    if not ingredients.statistics:
        raise MergeError(
            f"{name} needs statistics of each model's data ({kinds}): pass --statistics, a file "
            "for each model, or use 'average'."
        )


def _wrong_count(name: str, bounds: tuple[int, int | None], count: int, needs_base: bool) -> str:
    low, high = bounds
    if low == high:
        wanted = f"exactly {low} model{'s' * (low != 1)}"
    elif count < low:
        wanted = f"at least {low} models"
    else:
        wanted = f"at most {high} model{'s' * (high != 1)}"
    mend = ": pass two, or one and --base" if bounds == (2, 2) and not needs_base else ""
    return f"{name} takes {wanted}, got {count}{mend}."


def mean_weights(weights: Sequence[float], name: str) -> tuple[float, ...]:
    """Weights divided by their sum.

    Raises:
        MergeError: they sum to zero, beyond what rounding can tell.
    """
    total = math.fsum(weights)
    if abs(total) <= 1e-9 * math.fsum(map(abs, weights)):
        listed = ", ".join(f"{weight:g}" for weight in weights[:8])
        raise MergeError(
            f"the weights sum to zero ({listed}{', ...' if len(weights) > 8 else ''}), and {name} "
            "divides by their sum: change one, or use 'task-arithmetic', which does not divide."
        )
    return tuple(weight / total for weight in weights)


def statistics_weights(method: Method, weights: Sequence[float]) -> tuple[float, ...]:
    """Weights for the average of norm-stats under a recipe's method.

    A method that takes the position `t` between two models averages at t, kept in [0, 1]; weights
    with a negative among them, or all zero, say nothing about an average, which is uniform then:
    a variance must not become negative.
    """
    t = getattr(method, "t", None)
    if isinstance(t, float) and len(weights) == 2:
        t = min(max(t, 0.0), 1.0)
        return (1 - t, t)
    if min(weights) < 0 or not any(weights):
        return (1 / len(weights),) * len(weights)
    return mean_weights(weights, "average")


def joint_dtype(dtypes: Collection[torch.dtype]) -> torch.dtype | None:
    """The dtype that holds the values of all of them; None where torch knows none."""
    first, *others = dtypes
    for other in others:
        try:
            first = torch.promote_types(first, other)
        except RuntimeError:  # fp8 of two kinds
            return None
    return first
