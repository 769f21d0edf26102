"""`stockpot run RECIPE.yml` and `stockpot explain RECIPE.yml`."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

from ...engine.prepare import prepare
from ...errors import FieldError
from ...recipes.reading.recipe import Recipe, parse_recipe
from ...recipes.reading.yaml import read_yaml
from ...recipes.resolving.assignment import Assignment
from ..console import note, print_json, print_table
from .reestimate import Anew, ReestimateFlags, perform_anew
from .run_flags import Out, Run, RunFlags

_WORDS = (
    "role: what a tensor is for. method: what computes it, or copy. weights: one for each model. "
    "rule: what in the recipe, or which fixed policy, says so."
)


def run(
    recipe: Path,
    /,
    *,
    out: Out,
    flags: Run = RunFlags(),  # noqa: B008 - frozen
    anew: Anew = ReestimateFlags(),  # noqa: B008 - frozen
) -> int:
    """Carry out a recipe in YAML: methods, rules per tensor, layers, output.

    Args:
        recipe: The recipe's file.
        out: Where the merge is written.
    """
    return perform_anew(recipe_with_flags(recipe, flags), out, flags, anew)


def recipe_with_flags(path: Path, flags: RunFlags) -> Recipe:
    """A recipe file with what the flags say on top of it."""
    data = read_yaml(path)
    if not isinstance(data, dict):
        raise FieldError(f"{path} is not a recipe: it must be a mapping with method and models.")
    return parse_recipe(flags.onto(cast(dict[str, Any], data)), str(path))


def explain(recipe: Path, /, *, flags: Run = RunFlags()) -> int:  # noqa: B008 - frozen
    """For each tensor: method, fields, weights, and which rule said so.

    Args:
        recipe: The recipe's file.
    """
    prepared = prepare(recipe_with_flags(recipe, flags), flags.options(), None)
    models = [c.label for c in prepared.assignments.models]
    rows = [
        {
            "tensor": a.name,
            "role": str(a.role),
            "shape": list(a.stored_shape),
            "method": _treatment(a),
            "weights": list(a.weights),
            "models": [models[i] for i in a.models],
            "rule": a.rule,
        }
        for a in prepared.assignments.tensors
    ]
    if flags.json:
        selected = [str(s) for s in prepared.assignments.selected]
        notes = list(prepared.assignments.notes)
        print_json({"tensors": rows, "selected": selected, "notes": notes})
        return 0
    columns = ("tensor", "role", "shape", "method", "weights", "rule")
    print_table("", columns, [[_short(r[c]) for c in columns] for r in rows], _WORDS)
    for text in (*map(str, prepared.assignments.selected), *prepared.assignments.notes):
        note(text)
    return 0


def _treatment(a: Assignment) -> str:
    if a.derivation is not None:
        return "derived"
    return "copy" if a.method is None else repr(a.method)


def _short(value: object) -> str:
    if not isinstance(value, list):
        return str(value)
    parts = cast(Sequence[object], value)
    return " × ".join(f"{v:.4g}" if isinstance(v, float) else str(v) for v in parts) or "-"
