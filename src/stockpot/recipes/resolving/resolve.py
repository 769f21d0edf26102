"""From a recipe and open checkpoints to an assignment for each output tensor, or one good error.

Names, shapes and dtypes decide; no weight is read.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from ...checkpoints.entry import Checkpoint, TensorEntry
from ...checkpoints.roles import Role, role_of
from ...core import Method
from ...errors import MergeError
from ...views.seen import as_merged
from ..reading.recipe import Recipe
from .assigner import Assigner
from .assignment import Assignments
from .fit import check_needs, gather
from .following import followers_of
from .notes import notes_on
from .rules import NORM_STATS, Decision, decide
from .selecting import select


def resolve(
    recipe: Recipe,
    models: Sequence[Checkpoint],
    base: Checkpoint | None = None,
    statistics: Sequence[Checkpoint] = (),
) -> Assignments:
    """Decide each output tensor, and check before anything is read that all of it can be merged.

    The output has the tensors of all models, in the order of the first one's files.

    Args:
        recipe: what is merged with what.
        models: the open checkpoints of `recipe.models`, in their order.
        base: the open checkpoint of `recipe.base`.
        statistics: those of each model's data, where the recipe has any.

    Raises:
        MergeError: models, base or weights do not fit the methods; a rule matches no tensor; a
            method is defined for none of the tensors that it is to merge; or
            tensors that are missing or differ in shape, or that cannot be merged: every one of
            them, the first twenty in words.
    """
    seen = as_merged(models, base, statistics)
    ingredients = gather(recipe, seen.models, seen.base, seen.statistics)
    entries: dict[str, TensorEntry] = {}
    for checkpoint in ingredients.models:
        for name, entry in checkpoint.entries.items():
            entries.setdefault(name, entry)
    if not entries:
        raise MergeError("the models hold no tensors.")
    roles = _roles(entries, ingredients.models)
    decisions, rule_notes = decide(recipe, roles, seen.left_out)
    followers = followers_of(seen.parametrised)
    decisions = {name: one for name, one in decisions.items() if name not in followers}
    whole = {name: entry.shape for name, entry in entries.items() if not entry.is_complex}
    check_needs(_methods(decisions), ingredients)
    decisions, selected = select(decisions, roles, whole, len(ingredients.models))
    check_needs(_methods(decisions), ingredients)

    assigner = Assigner(recipe, ingredients, seen.matched)
    for name, decision in decisions.items():
        assigner.add(name, roles[name], decision)
    for name in roles:
        if name in followers:
            assigner.follow(name, roles[name], followers[name])
    tensors = assigner.finish(roles)
    return Assignments(
        tensors=tensors,
        models=ingredients.models,
        base=seen.base,
        statistics=ingredients.statistics,
        notes=seen.notes + rule_notes + notes_on(ingredients, tensors),
        selected=selected,
        untied=seen.untied,
    )


def _roles(entries: Mapping[str, TensorEntry], models: Sequence[Checkpoint]) -> dict[str, Role]:
    """By name; a tensor that all models tie to another has the role of that one."""
    roles: dict[str, Role] = {}
    for name, entry in entries.items():
        tied = all(m.entries[name].alias_of for m in models if name in m.entries)
        first = entries.get(entry.alias_of or name, entry) if tied else entry
        roles[name] = role_of(replace(first, alias_of=None) if first.alias_of else first)
    return roles


def _methods(decisions: Mapping[str, Decision]) -> tuple[Method, ...]:
    """Methods that the recipe chose, or that one of those chose for the rest."""
    found = (d.method for d in decisions.values() if d is not NORM_STATS)
    return tuple(dict.fromkeys(method for method in found if method is not None))
