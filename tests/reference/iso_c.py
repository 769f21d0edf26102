"""Iso-C: the sum of task vectors with all singular values made equal (methods.md 3.2)."""

import numpy as np

from .arrays import Array, State
from .matrices import by_matrix, cut, mean_rest, svd, unsure


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
) -> State:
    def flat(arrays: list[Array], origin: Array) -> Array:
        u, s, v = svd(summed(arrays, origin, weights))
        if not len(s):
            return origin
        u, s, v = cut((u, s, v), len(s), max(tolerance, 1e-7) * s[0])
        return origin + scale * s.mean() * u @ v

    return by_matrix(models, base, conv, flat, mean_rest(scale, weights))


def summed(arrays: list[Array], origin: Array, weights: list[float]) -> Array:
    return sum((w * (a - origin) for w, a in zip(weights, arrays, strict=True)), 0 * origin)


def sensitivity(arrays: list[Array], origin: Array, weights: list[float], method: object) -> float:
    """The largest over the least value that takes part."""
    tolerance = getattr(method, "tolerance")  # noqa: B009
    total = summed(arrays, origin, weights)
    if not total.size:
        return 1.0
    s = np.linalg.svd(total, compute_uv=False)
    noise = 1e-4 * max(float(np.abs(origin).max(initial=0)), 1e-30)
    if s[0] < noise:
        return np.inf if s[0] > 0 else 1.0
    floor = max(tolerance, 1e-7) * s[0]
    if unsure(s, [tolerance]) or np.any((s < 1e-3 * s[0]) & (s > 1e-10 * s[0])):
        return np.inf
    return float(s[0] / s[s > floor].min())
