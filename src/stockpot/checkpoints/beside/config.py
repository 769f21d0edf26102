"""Whether the configurations of several models make the same network of the same tensors.

A key that says what a row, a head or a class is must agree: the same numbers are another network
otherwise. One that shifts what the network does, such as the base of rotary embeddings, may differ,
and that is told. What speaks of versions, paths and training says nothing of the network.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import cast

from ...errors import CheckpointError
from ..entry import Checkpoint
from ..formats.untrusted import parse_config, shown
from .files import SmallFiles, small_files
from .keys import ACTIVATIONS, MEANING, SILENT
from .spelling import flat
from .ties import ties_embeddings

CONFIG = "config.json"
LARGEST_CONFIG = 10_000_000

_SMOOTH = frozenset({"gelu", "gelu_new", "quick_gelu"})
"""Activations that are nearly the same function."""
_NEUTRAL: tuple[object, ...] = (None, False, 0, "", [], {}, "default", "absolute", "gated-none")
_THETA = 10000.0
"""The base of rotary embeddings where a configuration does not say it."""
_SHOWN = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class Disagreement:
    """A key on which configurations disagree.

    Attributes:
        key: with dots where it is that of a network inside.
        values: by model, as they say it; those that do not say it are left out.
        forbids: whether the same tensors are other networks under them.
    """

    key: str
    values: tuple[tuple[str, object], ...]
    forbids: bool

    def __str__(self) -> str:
        by = dict[str, list[str]]()
        for label, value in self.values:
            by.setdefault(said(value), []).append(label)
        each = [f"{value} in {_some(labels)}" for value, labels in by.items()]
        return f"{self.key} is {each[0]}" + "".join(f", {one}" for one in each[1:])


def read_config(one: SmallFiles) -> Mapping[str, object] | None:
    """The config.json of a model; None where there is none, or what stands there is a pointer.

    Raises:
        CheckpointError: it is no JSON object, or too large to be one of a model.
    """
    return read_object(one, CONFIG)


def says_tied(checkpoint: Checkpoint) -> bool | None:
    """Whether the configuration beside a checkpoint ties its head; None where none of transformers.

    A kind of network that is not known has the default of transformers, which ties. Whoever asks
    looks at the weights as well: a head of its own is never a tied one.
    """
    config = read_config(small_files(checkpoint))
    if config is None or ("model_type" not in config and "architectures" not in config):
        return None
    said = ties_embeddings(config)
    return True if said is None else said


def read_object(one: SmallFiles, name: str) -> Mapping[str, object] | None:
    """A JSON object beside the weights; None where there is none."""
    if name not in one or name in one.pointers:
        return None
    if one.sizes[name] > LARGEST_CONFIG:
        raise CheckpointError(f"{one.label}: {name} is too large: {one.sizes[name]:,} bytes.")
    return parse_config(one.read(name), f"{one.label}: {name}")


def compare_configs(
    configs: Sequence[tuple[str, Mapping[str, object]]],
) -> tuple[Disagreement, ...]:
    """Every key on which the configurations of models disagree, those that forbid a merge first.

    Args:
        configs: what the models are called, and what they say.
    """
    flats = [(label, flat(config)) for label, config in configs]
    keys = dict.fromkeys(key for _, one in flats for key in one)
    found = [one for key in keys if (one := _disagreement(key, flats)) is not None]
    return tuple(sorted(found, key=lambda one: not one.forbids))


def _disagreement(
    key: str, flats: Sequence[tuple[str, Mapping[str, object]]]
) -> Disagreement | None:
    last = key.rpartition(".")[2]
    name = re.sub(r" of \w+$", "", last)
    if name in SILENT:
        return None
    values = [(label, one[key]) for label, one in flats if key in one]
    if name == "id2label":
        values = [(label, value) for label, value in values if value is not None]
    elif name == "rope_theta":
        values = [(label, one.get(key, _THETA)) for label, one in flats]
    elif len(values) < len(flats) and name in MEANING:
        pass  # one that does not say it means the default of its kind, which is not known here
    elif len(values) < len(flats):
        values = [(label, one.get(key)) for label, one in flats]
        if all(value in _NEUTRAL for _, value in values):
            return None
    if len(values) < 2 or all(value == values[0][1] for _, value in values):
        return None
    forbids = name in MEANING and not _alike(name, [value for _, value in values])
    return Disagreement(key=key, values=tuple(values), forbids=forbids)


def _alike(name: str, values: Iterable[object]) -> bool:
    """Whether values of a key that matters are near enough: kinds of the same activation."""
    return name in ACTIVATIONS and all(value in _SMOOTH for value in values)


def differing(what: str, shifts: Sequence[Disagreement]) -> Iterator[str]:
    """In one sentence what may differ of what lies beside the weights."""
    if shifts:
        few = "; ".join(map(str, shifts[:_SHOWN]))
        more = len(shifts) - _SHOWN
        rest = f"; and {more} more keys: {', '.join(o.key for o in shifts[_SHOWN:])}"
        yield f"{what} differ: {few}{rest if more > 0 else ''}."


def said(value: object) -> str:
    """A value as a sentence shows it."""
    if value is None:
        return "not set"
    if isinstance(value, float) and value.is_integer():
        return str(int(value)) if abs(value) < 1e15 else repr(value)
    if isinstance(value, str) and re.fullmatch(r"[\w.-]{1,40}", value):
        return value
    if isinstance(value, tuple):
        return shown(list(cast(tuple[object, ...], value)))
    return shown(value)


def _some(labels: Sequence[str]) -> str:
    return ", ".join(labels[:3]) + (f" and {len(labels) - 3} more" if len(labels) > 3 else "")
