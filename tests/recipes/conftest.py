from collections.abc import Callable, Iterable, Mapping
from typing import Any

import pytest
import torch

from stockpot.checkpoints.entry import Checkpoint, TensorEntry
from stockpot.checkpoints.source import MemorySource
from stockpot.core import Method
from stockpot.recipes.reading.recipe import parse_recipe
from stockpot.recipes.resolving.assignment import Assignments
from stockpot.recipes.resolving.resolve import resolve

Spec = tuple[tuple[int, ...], torch.dtype]
MakeCheckpoint = Callable[..., Checkpoint]


class CountingSource:
    """A source that counts how often it is read."""

    def __init__(self) -> None:
        self.reads = 0
        self._memory = MemorySource(torch.zeros(1 << 10, dtype=torch.uint8))

    def read_into(self, buffer: memoryview, offset: int) -> None:
        self.reads += 1
        self._memory.read_into(buffer, offset)


@pytest.fixture
def checkpoint() -> MakeCheckpoint:
    """Builds a checkpoint of names alone: names, or name -> (shape, dtype); aliases by name."""

    def make(
        label: str,
        tensors: Iterable[str] | Mapping[str, Spec],
        *,
        aliases: Mapping[str, str] | None = None,
        dtype: torch.dtype = torch.float32,
    ) -> Checkpoint:
        source = CountingSource()
        specs = (
            dict(tensors)
            if isinstance(tensors, Mapping)
            else dict.fromkeys(tensors, ((4, 4), dtype))
        )
        aliases = aliases or {}
        places = {name: position for position, name in enumerate(specs)}
        entries = {
            name: TensorEntry(
                name, kind, shape, source, places[aliases.get(name, name)], aliases.get(name)
            )
            for name, (shape, kind) in specs.items()
        }
        return Checkpoint(label, entries)

    return make


@pytest.fixture
def run() -> Callable[..., Assignments]:
    """Resolves a recipe of checkpoints that are open already."""

    def run(
        method: Method,
        models: list[Checkpoint],
        base: Checkpoint | None = None,
        weights: list[float] | None = None,
        **more: Any,
    ) -> Assignments:
        ingredients = [
            {"path": model.label} | ({} if weights is None else {"weight": weights[k]})
            for k, model in enumerate(models)
        ]
        plain = {"method": method, "models": ingredients, "base": base.label if base else None}
        return resolve(parse_recipe(plain | more), models, base)

    return run
