"""Iso-C: the sum of task vectors with all singular values made equal (methods.md 3.2)."""

import numpy as np

from .arrays import Array, State
from .matrices import (
    Grain,
    by_matrix,
    level_and_rounds,
    mean_rest,
    near,
    noise_of,
    only_real,
    svd,
    unsure,
)


def merge(
    models: list[State],
    base: State,
    weights: list[float],
    seed: int,
    *,
    scale: float,
    tolerance: float,
    tensors: str,
    conv: str,
    qkv: str,
    grains: dict[str, list[Grain]],
) -> State:
    def flat(arrays: list[Array], origin: Array, grains: list[Grain]) -> Array:
        found = svd(summed(arrays, origin, weights))
        if not len(found[1]):
            return origin
        (noise,) = noise_of(arrays, origin, weights, grains, together=True)
        u, s, v = only_real(found, *level_and_rounds(tolerance, noise, found[1][0]))
        return origin + scale * s.mean() * u @ v if len(s) else origin

    return by_matrix(models, base, conv, flat, mean_rest(scale, weights), grains)


def summed(arrays: list[Array], origin: Array, weights: list[float]) -> Array:
    return sum((w * (a - origin) for w, a in zip(weights, arrays, strict=True)), 0 * origin)


def sensitivity(
    arrays: list[Array],
    origin: Array,
    weights: list[float],
    method: object,
    grains: list[Grain],
) -> float:
    """The largest over the least value that takes part."""
    tolerance = getattr(method, "tolerance")  # noqa: B009
    total = summed(arrays, origin, weights)
    if not total.size:
        return 1.0
    s = np.linalg.svd(total, compute_uv=False)
    noise = 1e-4 * max(float(np.abs(origin).max(initial=0)), 1e-30)
    if s[0] < noise:
        return np.inf if s[0] > 0 else 1.0
    (rounding,) = noise_of(arrays, origin, weights, grains, together=True)
    level, rounds = level_and_rounds(tolerance, rounding, s[0])
    if unsure(s, [tolerance]) or np.any((s < 1e-3 * s[0]) & (s > 1e-10 * s[0])):
        return np.inf
    real = only_real((np.eye(len(s)), s, np.eye(len(s))), level, rounds)[1]
    if near(s, level) or not len(real):
        return np.inf
    return float(s[0] / real.min())
