"""Modules of sentence-transformers after the network: pooling, dense layers, and their order."""

import re
from collections.abc import Iterator, Sequence

from .config import Disagreement, read_object
from .files import WEIGHTS, SmallFiles

_FILE = re.compile(r"(\d+_\w+)/(.+)")


def modules_of(one: SmallFiles) -> frozenset[str]:
    """The folders of a model's modules."""
    return frozenset(match[1] for name in one.sizes if (match := _FILE.fullmatch(name)))


def compare_modules(models: Sequence[SmallFiles]) -> Iterator[Disagreement]:
    """Where modules differ, of the models that have any: their kind, pooling, or weights."""
    having = [one for one in models if modules_of(one)]
    folders = dict.fromkeys(folder for one in having for folder in sorted(modules_of(one)))
    if len({modules_of(one) for one in having}) > 1:
        values = [(one.label, ", ".join(sorted(modules_of(one)))) for one in having]
        yield Disagreement(key="modules", values=tuple(values), forbids=True)
    for folder in folders:
        yield from _pooling(folder, having)
        for name in (f"{folder}/{file}" for file in WEIGHTS):
            contents = [(one.label, one.read(name)) for one in having if name in one]
            if any(content != contents[0][1] for _, content in contents):
                values = [(label, "its own") for label, _ in contents]
                yield Disagreement(key=f"weights of {name}", values=tuple(values), forbids=True)


def _pooling(folder: str, having: Sequence[SmallFiles]) -> Iterator[Disagreement]:
    name = f"{folder}/config.json"
    said = [(one.label, read_object(one, name)) for one in having]
    there = [(label, config) for label, config in said if config is not None]
    for key in dict.fromkeys(key for _, config in there for key in config):
        values = [(label, config.get(key)) for label, config in there]
        differ = any(value != values[0][1] for _, value in values)
        if differ and any(value for _, value in values):  # not there and false are the same
            forbids = key.startswith(("pooling_mode", "activation_function", "bias"))
            yield Disagreement(key=f"{name}: {key}", values=tuple(values), forbids=forbids)
