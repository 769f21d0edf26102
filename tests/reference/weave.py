"""Weave: a merge by each point of a grid, and the mean, a draw or the largest of them (1.15)."""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import replace
from importlib import import_module
from typing import Any

import numpy as np

from .arrays import Array, State
from .dare import draws


def merge(
    models: list[State],
    base: State | None,
    weights: list[float],
    seed: int,
    *,
    method: Any,
    grid: Mapping[str, Sequence[object]],
    pool: Any,
    raw: str,
) -> State:
    points = candidates(models, base, weights, seed, method=method, grid=grid, raw=raw)
    if not isinstance(pool, str):
        return of(pool)(points, base, [1.0] * len(points), seed, **fields_of(pool))
    return {name: pooled(pool, points, base, models, seed, name) for name in models[0]}


def candidates(
    models: list[State],
    base: State | None,
    weights: list[float],
    seed: int,
    *,
    method: Any,
    grid: Mapping[str, Sequence[object]],
    raw: str,
) -> list[State]:
    """The merges of all combinations, the last field fastest, and the models where asked."""
    found = [
        of(point)(models, base, weights, seed, **fields_of(point))
        for values in itertools.product(*grid.values())
        for point in [replace(method, **dict(zip(grid, values, strict=True)))]
    ]
    return found + (models if raw == "include" else [])


def pooled(
    pool: str, points: list[State], base: State | None, models: list[State], seed: int, name: str
) -> Array:
    stacked = np.stack([point[name] for point in points])
    if pool == "mean":
        return stacked.mean(0)
    if pool == "random":
        draw = draws(seed, f"{name}\0pool", 0, stacked.shape[1:]).astype(np.float32)
        which = np.floor(draw * np.float32(len(points))).astype(int)
        return np.take_along_axis(stacked, which[None], 0)[0]
    origin = np.mean([model[name] for model in models], 0) if base is None else base[name]
    changes = stacked - origin
    far = np.abs(changes) == np.abs(changes).max(0)
    return np.where(far, stacked, -np.inf).max(0)


def is_doubtful(points: list[State], origin: Array, name: str) -> Array:
    """Elements at which two candidates are all but equally far, and not exactly, from the origin.

    Or equally far by exact arithmetic on values that rounding would have moved.
    """
    changes = np.stack([point[name] for point in points]) - origin
    sizes, most = np.abs(changes), np.abs(changes).max(0)
    near = sizes >= most * (1 - 1e-4) - 1e-5
    apart = np.where(near, changes, -np.inf).max(0) - np.where(near, changes, np.inf).min(0)
    exact = (changes * 2**12 == np.round(changes * 2**12)).all(0)
    return (apart > 1e-4 * most + 1e-5) & ~exact


def of(method: Any) -> Any:
    name = type(method).__name__
    kebab = "".join("_" + c.lower() if c.isupper() else c for c in name).lstrip("_")
    return import_module(f".{kebab}", __package__).merge


def fields_of(method: Any) -> dict[str, Any]:
    return {name: getattr(method, name) for name in type(method).__dataclass_fields__}
