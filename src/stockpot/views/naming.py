"""What models are called: by the ends of their paths that tell them apart.

The same inputs get the same names however they were written, so that neither an output nor a page
depends on it, or says where on a machine they lie.
"""

import os
from collections.abc import Mapping, Sequence
from itertools import chain
from pathlib import Path

from ..checkpoints.entry import Checkpoint
from ..checkpoints.formats.directory import FAMILIES
from ..errors import FieldError
from .models import PLUS, Model, Viewed, label_of, parts_of


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


def names_of(models: Sequence[Model], names: Sequence[str] = ()) -> tuple[str, ...]:
    """The names of models in tables: those that were given, else short ones.

    Suffixes of files are left out where names differ without them. What has no path goes by its
    number, and several of one name are numbered.

    Raises:
        FieldError: another number of names than of models.

    Example:
        >>> names_of(["runs/1/model.pt", "runs/2/model.pt", "base.pt", {}])
        ('1/model', '2/model', 'base', 'model 4')
    """
    if names and len(names) != len(models):
        raise FieldError(f"names: there are {len(models)} models and {len(names)} names.")
    own = list(names) or _own_names(models)
    if len(set(own)) < len(own):
        own = [f"{name} ({k + 1})" for k, name in enumerate(own)]
    return tuple(own)


def _own_names(models: Sequence[Model]) -> list[str]:
    paths = [_path(model) for model in models]
    short = short_names([path for path in paths if path is not None])
    bare = {path: _without_suffix(name) for path, name in short.items()}
    if len(set(bare.values())) == len(set(short.values())):
        short = bare
    return [
        f"model {number}" if path is None else _as_seen(model, short[path])
        for number, (model, path) in enumerate(zip(models, paths, strict=True), 1)
    ]


def _path(model: Model) -> str | None:
    if isinstance(model, Checkpoint):
        return model.label
    if isinstance(model, Viewed):
        return str(model.path)
    return str(model) if isinstance(model, str | Path) else None


def _as_seen(model: Model, name: str) -> str:
    return label_of(name, model.views) if isinstance(model, Viewed) else name


def _without_suffix(name: str) -> str:
    """Whatever else follows a dot, such as the number of a version, says something."""
    suffix = next((one for one in chain(*FAMILIES) if name.endswith(one)), "")
    return name.removesuffix(suffix)


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
