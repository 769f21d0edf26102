"""TSV-M: first r/T directions of each task, stacked and made orthogonal (methods.md 3.1)."""

import numpy as np

from .arrays import Array, State
from .matrices import (
    SVD,
    Grain,
    by_matrix,
    cut,
    dependence,
    level_and_rounds,
    mean_rest,
    near,
    noise_of,
    only_real,
    polar,
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
    def low(arrays: list[Array], origin: Array, grains: list[Grain]) -> Array:
        parts, levels, rounds = stacks(arrays, origin, weights, grains, tolerance)
        u, s, v = (np.concatenate([p[i] for p in parts], axis=(1, 0, 0)[i]) for i in range(3))
        if not len(s):
            return origin
        left, right = polar(u, levels / s, rounds), polar(v.T, levels / s, rounds).T
        return origin + scale * (left * s) @ right

    return by_matrix(models, base, conv, low, mean_rest(scale, weights), grains)


def stacks(
    arrays: list[Array],
    origin: Array,
    weights: list[float],
    grains: list[Grain],
    tolerance: float,
) -> tuple[list[SVD], Array, float]:
    """Of each task its first directions without noise; and what is noise in each direction."""
    count = min(origin.shape) // len(arrays)
    parts, levels, rounds = [], [], 1.0
    noises = noise_of(arrays, origin, weights, grains, together=False)
    for weight, array, noise in zip(weights, arrays, noises, strict=True):
        found = svd(weight * (array - origin))
        first = found[1][0] if len(found[1]) else 0.0
        level, rounds = level_and_rounds(tolerance, noise, first)
        parts.append(only_real(cut(found, count), level, rounds))
        levels.append(np.full(len(parts[-1][1]), level))
    return parts, np.concatenate(levels), rounds


def sensitivity(
    arrays: list[Array],
    origin: Array,
    weights: list[float],
    method: object,
    grains: list[Grain],
) -> float:
    """Gaps at the cuts, and how nearly the stacked directions depend on each other."""
    tolerance = getattr(method, "tolerance")  # noqa: B009
    count = min(origin.shape) // len(arrays)
    if not count:
        return 1.0
    noise = 1e-5 * max(float(np.abs(origin).max(initial=0)), 1e-30)
    worst = 1.0
    noises = noise_of(arrays, origin, weights, grains, together=False)
    for weight, array, rounding in zip(weights, arrays, noises, strict=True):
        s = svd(weight * (array - origin))[1]
        if not len(s):
            continue
        if unsure(s[:count], [tolerance]) or s[min(count, len(s)) - 1] < 1e-3 * s[0]:
            return np.inf
        if near(s[:count], level_and_rounds(tolerance, rounding, s[0])[0]):
            return np.inf
        if count < len(s):
            gap = s[count - 1] - s[count]
            worst = max(worst, float(s[0] / gap) if gap > noise else np.inf)
        worst = max(worst, float(s[0] / s[min(count, len(s)) - 1]))
    parts, levels, rounds = stacks(arrays, origin, weights, grains, tolerance)
    u, s, v = (np.concatenate([p[i] for p in parts], axis=(1, 0, 0)[i]) for i in range(3))
    if not len(s):
        return worst
    return max(worst, *(dependence(side, levels / s, rounds) for side in (u, v.T)))
