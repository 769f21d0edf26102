"""DARE: drop entries of each task vector, rescale, then add up or merge as TIES (methods.md 2.3).

An entry is kept where its draw is below the density. The draws are NumPy's Philox: its key is the
16-byte BLAKE2b of seed, tensor name and model index, joined by NUL, and element i of the
flattened tensor takes the i-th float32 of the stream.
"""

import hashlib

import numpy as np

from .arrays import Array, State, each
from .ties import disjoint, elected


def merge(
    models: list[State],
    base: State,
    weights: list[float],
    seed: int,
    *,
    density: float | tuple[float, ...],
    scale: float,
    rescale: str,
    merge: str,
) -> State:
    merged: State = {}
    for name, origin in base.items():
        weighted = sparse_deltas(models, base, weights, seed, name, density, rescale)
        if merge == "ties":
            total = disjoint(weighted, elected(weighted, "mass"), weights, "mean")
        else:
            total = sum(weighted)
        merged[name] = origin + scale * total
    return merged


def draws(seed: int, name: str, model: int, shape: tuple[int, ...]) -> Array:
    digest = hashlib.blake2b(f"{seed}\0{name}\0{model}".encode(), digest_size=16).digest()
    stream = np.random.Generator(np.random.Philox(key=np.frombuffer(digest, np.uint64)))
    return stream.random(int(np.prod(shape)), dtype=np.float32).reshape(shape).astype(np.float64)


def sparse_deltas(
    models: list[State],
    base: State,
    weights: list[float],
    seed: int,
    name: str,
    density: float | tuple[float, ...],
    rescale: str,
) -> list[Array]:
    found = []
    for k, fraction in enumerate(each(density, len(models))):
        delta = models[k][name] - base[name]
        kept = np.where(draws(seed, name, k, delta.shape) < np.float32(fraction), delta, 0.0)
        factor = 1.0
        if rescale == "inverse":
            factor = 1 / fraction
        elif rescale == "norm" and np.abs(kept).sum() > 0:
            factor = np.abs(delta).sum() / np.abs(kept).sum()
        found.append(weights[k] * factor * kept)
    return found
