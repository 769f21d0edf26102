"""How an output tells of its inputs: by short names that say nothing of the machine.

Where the inputs lie is a matter of merge.json alone.
"""

from collections.abc import Callable, Mapping
from typing import Any, cast

from ..values.family import plain_value
from ..views import FAMILY


def renamed(recipe: Mapping[str, Any], name: Callable[[str], str]) -> dict[str, Any]:
    """A recipe in plain values, as `Recipe.resolved` gives it, with other names for its models."""
    plain = dict(recipe)
    paths = {model["path"] for model in plain["models"]}
    if isinstance(base := plain.get("base"), dict):
        plain["base"] = _renamed(cast(dict[str, Any], base), name)
    elif base is not None:
        plain["base"] = name(base)
    plain["models"] = [_renamed(model, name) for model in plain["models"]]
    if "rules" in plain:
        plain["rules"] = [
            rule | {"copy": name(rule["copy"])} if rule.get("copy") in paths else rule
            for rule in plain["rules"]
        ]
    return plain


def _renamed(model: Mapping[str, Any], name: Callable[[str], str]) -> dict[str, Any]:
    """A model in plain values, its paths and those that its views look at under other names."""
    plain = {**model, **{key: name(model[key]) for key in ("path", "statistics") if key in model}}
    if "view" in model:
        plain["view"] = [plain_value(FAMILY.read(view).moved(name)) for view in model["view"]]
    return plain


def reworded(text: str, names: Mapping[str, str]) -> str:
    """A sentence in which inputs are called by their short names."""
    for path in sorted(names, key=len, reverse=True):
        if "/" in path:
            text = text.replace(path, names[path])
    return text
