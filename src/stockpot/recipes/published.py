"""How an output names its inputs: by short names that say nothing of the machine.

The same inputs get the same names however they were written on the command line, so that the bytes
of weights and card do not depend on it. Where the inputs lie is a matter of merge.json alone.
"""

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from ..values.family import plain_value
from ..views import FAMILY
from ..views.models import PLUS, parts_of


def canonical(path: str) -> str:
    """One spelling of a path: absolute, without links.

    A file that a link leads to keeps the link's name where the other has another suffix: the caches
    of hubs keep files under their digests. Of `base+adapter` it is that of each. What is not there
    stays as it is written.
    """
    parts = parts_of(path)
    return PLUS.join(map(_canonical, parts)) if len(parts) > 1 else _canonical(path)


def _canonical(path: str) -> str:
    if not os.path.exists(path):  # noqa: PTH110 - what is too long to be a path is no error here
        return path
    given, real = Path(path), Path(path).resolve()
    if real.is_dir() or real.suffix == given.suffix:
        return str(real)
    return str(given.parent.resolve() / given.name)


def short_names(models: Sequence[str]) -> dict[str, str]:
    """A name for each model: its last component, and as many before it as tell it from the others.

    Of `base+adapter` each path has a name, and the whole is called by them.

    Example:
        >>> short_names(["runs/1/model", "runs/2/model", "other/base/"])
        {'runs/1/model': '1/model', 'runs/2/model': '2/model', 'other/base/': 'base'}
    """
    paths = {model: parts_of(model) for model in models}
    every = dict.fromkeys(path for some in paths.values() for path in some)
    parts = {one: _parts(one) for one in dict.fromkeys(map(canonical, every))}
    names = {path: _name(canonical(path), parts) for path in every}
    whole = {model: PLUS.join(names[one] for one in some) for model, some in paths.items()}
    return names | whole


def _parts(path: str) -> list[str]:
    """Components, as text that UTF-8 can say."""
    told = path.encode("utf8", "backslashreplace").decode()
    return [part for part in told.split("/") if part not in ("", ".")] or ["model"]


def _name(path: str, parts: Mapping[str, list[str]]) -> str:
    own = parts[path]
    for count in range(1, len(own)):
        if not any(other != path and has[-count:] == own[-count:] for other, has in parts.items()):
            return "/".join(own[-count:])
    return "/".join(own)


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
