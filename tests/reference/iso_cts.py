"""Iso-CTS: common directions and each task's own, all at one value (methods.md 3.3)."""

import numpy as np

from .arrays import Array, State
from .iso_c import summed
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
    common: float,
    tolerance: float,
    tensors: str,
    conv: str,
    qkv: str,
    grains: dict[str, list[Grain]],
) -> State:
    def both(arrays: list[Array], origin: Array, grains: list[Grain]) -> Array:
        parts, levels, rounds, _ = directions(arrays, origin, weights, grains, common, tolerance)
        u, s, v = (np.concatenate([p[i] for p in parts], axis=(1, 0, 0)[i]) for i in range(3))
        if not len(s):
            return origin
        left, right = polar(u, levels / s, rounds), polar(v.T, levels / s, rounds).T
        return origin + scale * s.mean() * left @ right

    return by_matrix(models, base, conv, both, mean_rest(scale, weights), grains)


def directions(
    arrays: list[Array],
    origin: Array,
    weights: list[float],
    grains: list[Grain],
    common: float,
    tolerance: float,
) -> tuple[list[SVD], Array, float, list[tuple[Array, int, float]]]:
    """The parts side by side, tasks first; the noise of each direction; and of the sum, then of
    each task, its values, where they were cut, and the level of what is noise."""
    full = min(origin.shape)
    own = round((full - int(full * common + 1e-9)) / len(arrays))
    own = min(own, full // len(arrays))
    shared = full - own * len(arrays)
    total = svd(summed(arrays, origin, weights))
    first = total[1][0] if len(total[1]) else 0.0
    (of_sum,) = noise_of(arrays, origin, weights, grains, together=True)
    level, rounds = level_and_rounds(tolerance, of_sum, first)
    middle = only_real(cut(total, shared), level, rounds)
    parts, levels, cuts = [], [], [(total[1], shared, level)]
    each = noise_of(arrays, origin, weights, grains, together=False)
    for weight, array, noise in zip(weights, arrays, each, strict=True):
        if own:
            delta = weight * (array - origin)
            found = svd(delta - middle[0] @ (middle[0].T @ delta))
            higher = level if tolerance else max(level, noise)
            parts.append(only_real(cut(found, own), higher, rounds, above=first))
            levels.append(np.full(len(parts[-1][1]), higher))
            cuts.append((found[1], own, higher))
    return (
        [*parts, middle],
        np.concatenate([*levels, np.full(len(middle[1]), level)]),
        rounds,
        cuts,
    )


def sensitivity(
    arrays: list[Array],
    origin: Array,
    weights: list[float],
    method: object,
    grains: list[Grain],
) -> float:
    """Gaps at every cut, and how nearly the directions depend on each other."""
    tolerance, common = getattr(method, "tolerance"), getattr(method, "common")  # noqa: B009
    if not origin.size:
        return 1.0
    parts, levels, rounds, cuts = directions(arrays, origin, weights, grains, common, tolerance)
    total = cuts[0][0]
    noise = 1e-4 * max(float(np.abs(origin).max(initial=0)), 1e-30)
    if not len(total) or total[0] < noise:
        return np.inf
    worst = 1.0
    for values, count, level in cuts:
        if not len(values) or not count:
            continue
        relative = np.concatenate([total[:1], values[:count]])
        if unsure(relative, [tolerance]) or values[min(count, len(values)) - 1] < 1e-3 * total[0]:
            return np.inf
        if near(values[:count], level):
            return np.inf
        if count < len(values):
            gap = values[count - 1] - values[count]
            worst = max(worst, float(total[0] / gap) if gap > noise else np.inf)
        worst = max(worst, float(total[0] / values[min(count, len(values)) - 1]))
    u, s, v = (np.concatenate([p[i] for p in parts], axis=(1, 0, 0)[i]) for i in range(3))
    if not len(s):
        return np.inf
    return max(worst, *(dependence(side, levels / s, rounds) for side in (u, v.T)))
