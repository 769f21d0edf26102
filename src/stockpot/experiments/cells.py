"""What a network or data set of an experiment is called, and the cells of a sweep."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, cast

from ..errors import FieldError
from ..values.from_plain_data import Reads

Spec = str | Mapping[str, Any]
"""A name, or a mapping of `name` and keys of its own."""


def _read_spec(value: object) -> Spec:
    if isinstance(value, str) and value:
        return value
    if isinstance(value, Mapping):
        entries = {str(k): v for k, v in cast(Mapping[object, object], value).items()}
        if isinstance(entries.get("name"), str) and entries["name"]:
            return entries
    raise FieldError("must be a name, or a mapping of a name and its own keys.")


SpecEntry = Annotated[Any, Reads(_read_spec)]
"""A Spec where it stands in a file."""
SpecIfAny = Annotated[Any, Reads(lambda value: None if value is None else _read_spec(value))]
"""The same, where it may be left out."""

_WITH_WEIGHTS = ("hf:", "clip:")
_PLACES = ("name", "path")


def spec_name(spec: Spec) -> str:
    """The name in it.

    Example:
        >>> spec_name({"name": "resnet-20", "norm": "group"})
        'resnet-20'
    """
    return spec if isinstance(spec, str) else str(spec["name"])


def own_weights(network: Spec) -> bool:
    """Whether a network comes with trained weights."""
    asked = isinstance(network, Mapping) and bool(network.get("pretrained"))
    return asked or spec_name(network).startswith(_WITH_WEIGHTS)


def slug(spec: Spec) -> str:
    """A name for a folder: letters, digits, points and hyphens; of a path its last part.

    Example:
        >>> slug({"name": "resnet-20", "norm": "group"})
        'resnet-20-norm-group'
    """
    source, colon, rest = spec_name(spec).partition(":")
    words = [source, *([rest.rstrip("/").rpartition("/")[2]] if colon else [])]
    if isinstance(spec, Mapping):
        words += [f"{key}-{value}" for key, value in spec.items() if key not in _PLACES]
    plain = re.sub(r"[^A-Za-z0-9.]+", "-", "-".join(words)).strip("-.")
    return plain[:80] or "cell"


def cell_names(
    pairs: Sequence[tuple[Spec, Spec | None]], *, networks: bool, data: bool
) -> tuple[str, ...]:
    """A name for each cell, of what the sweep varies; equal ones are numbered."""
    wanted = (networks, data)
    swept = [
        "--".join(slug(one) for one, is_swept in zip(pair, wanted, strict=True) if is_swept and one)
        for pair in pairs
    ]
    counts, seen = Counter(swept), Counter[str]()
    names: list[str] = []
    for name in swept:
        seen[name] += 1
        names.append(f"{name}-{seen[name]}" if counts[name] > 1 else name)
    return tuple(names)
