"""Consensus merging: sum the task vectors, keep what k TALL masks want (methods.md 2.7)."""

import numpy as np

from .arrays import Array, State, each


def merge(
    models: list[State],
    base: State,
    weights: list[float],
    seed: int,
    *,
    agree: int,
    ratio: float | tuple[float, ...],
    scale: float,
) -> State:
    merged: State = {}
    for name, origin in base.items():
        deltas, total = _vectors(models, base, weights, name)
        masks = [
            np.abs(delta) >= limit * np.abs(total - delta)
            for delta, limit in zip(deltas, each(ratio, len(models)), strict=True)
        ]
        kept = np.sum(masks, axis=0) >= agree
        merged[name] = origin + scale * np.where(kept, total, 0.0)
    return merged


def _vectors(
    models: list[State], base: State, weights: list[float], name: str
) -> tuple[list[Array], Array]:
    deltas = [model[name] - base[name] for model in models]
    return deltas, sum(w * delta for w, delta in zip(weights, deltas, strict=True))


def is_doubtful(
    models: list[State],
    base: State,
    weights: list[float],
    name: str,
    ratio: float | tuple[float, ...],
) -> Array:
    """Elements near the edge of a mask, other than those that are exactly at it."""
    deltas, total = _vectors(models, base, weights, name)
    mass = sum(abs(w) * np.abs(delta) for w, delta in zip(weights, deltas, strict=True))
    near = np.zeros(total.shape, bool)
    for delta, limit in zip(deltas, each(ratio, len(models)), strict=True):
        own, rest = np.abs(delta), limit * np.abs(total - delta)
        few_bits = np.ones(total.shape, bool)
        for part in (own, total, np.float64(limit)):
            few_bits &= part * 2**12 == np.round(part * 2**12)
        slack = 1e-5 * (own + limit * (mass + own)) + 1e-37  # float32 ends there
        near |= (np.abs(own - rest) <= slack) & ~few_bits
    return near
