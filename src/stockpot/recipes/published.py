"""How an output names its inputs: by short names that say nothing of the machine.

The same inputs get the same names however they were written on the command line, so that the bytes
of weights and card do not depend on it. Where the inputs lie is a matter of merge.json alone.
"""

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, cast


def canonical(path: str) -> str:
    """One spelling of a path: absolute, without links.

    A file that a link leads to keeps the link's name where the other has another suffix: the caches
    of hubs keep files under their digests. What is not there stays as it is written.
    """
    if not os.path.exists(path):  # noqa: PTH110 - what is too long to be a path is no error here
        return path
    given, real = Path(path), Path(path).resolve()
    if real.is_dir() or real.suffix == given.suffix:
        return str(real)
    return str(given.parent.resolve() / given.name)


def short_names(paths: Sequence[str]) -> dict[str, str]:
    """A name for each path: its last component, and as many before it as tell it from the others.

    Example:
        >>> short_names(["runs/1/model", "runs/2/model", "other/base/"])
        {'runs/1/model': '1/model', 'runs/2/model': '2/model', 'other/base/': 'base'}
    """
    parts = {one: _parts(one) for one in dict.fromkeys(map(canonical, paths))}
    names = {one: _name(one, parts) for one in parts}
    return {path: names[canonical(path)] for path in paths}


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
        plain["base"] = base | {"path": name(cast(dict[str, str], base)["path"])}
    elif base is not None:
        plain["base"] = name(base)
    plain["models"] = [
        model | {key: name(model[key]) for key in ("path", "statistics") if key in model}
        for model in plain["models"]
    ]
    if "rules" in plain:
        plain["rules"] = [
            rule | {"copy": name(rule["copy"])} if rule.get("copy") in paths else rule
            for rule in plain["rules"]
        ]
    return plain


def reworded(text: str, names: Mapping[str, str]) -> str:
    """A sentence in which inputs are called by their short names."""
    for path in sorted(names, key=len, reverse=True):
        if "/" in path:
            text = text.replace(path, names[path])
    return text
