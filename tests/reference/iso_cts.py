"""Iso-CTS: common directions and each task's own, all at one value (methods.md 3.3)."""

import numpy as np

from .arrays import Array, State
from .iso_c import summed
from .matrices import SVD, by_matrix, cut, mean_rest, polar, svd, unsure
from .tsv_m import common_below, dependence


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
) -> State:
    def both(arrays: list[Array], origin: Array) -> Array:
        parts, cuts = directions(arrays, origin, weights, common, tolerance)
        u, s, v = (np.concatenate([p[i] for p in parts], axis=(1, 0, 0)[i]) for i in range(3))
        if not len(s):
            return origin
        floor = common_below(parts, min(origin.shape), tolerance, cuts[0][0][0])
        return origin + scale * s.mean() * polar(u, floor) @ polar(v, floor)

    return by_matrix(models, base, conv, both, mean_rest(scale, weights))


def directions(
    arrays: list[Array], origin: Array, weights: list[float], common: float, tolerance: float
) -> tuple[list[SVD], list[tuple[Array, int]]]:
    """The parts side by side, tasks first; and each one's values with where they were cut."""
    full = min(origin.shape)
    own = round((full - int(full * common + 1e-9)) / len(arrays))
    own = min(own, max(full - 1, 0) // len(arrays))
    shared = full - own * len(arrays)
    total = svd(summed(arrays, origin, weights))
    first = total[1][0] if len(total[1]) else 0.0
    middle = cut(total, shared, tolerance * first)
    parts, cuts = [], [(total[1], shared)]
    for weight, array in zip(weights, arrays, strict=True):
        if own:
            delta = weight * (array - origin)
            found = svd(delta - middle[0] @ (middle[0].T @ delta))
            parts.append(cut(found, own, tolerance * first))
            cuts.append((found[1], own))
    return [*parts, middle], cuts


def sensitivity(arrays: list[Array], origin: Array, weights: list[float], method: object) -> float:
    """Gaps at every cut, and how nearly the directions depend on each other."""
    tolerance, common = getattr(method, "tolerance"), getattr(method, "common")  # noqa: B009
    parts, cuts = directions(arrays, origin, weights, common, tolerance)
    total = cuts[0][0]
    noise = 1e-4 * max(float(np.abs(origin).max(initial=0)), 1e-30)
    if not origin.size:
        return 1.0
    if not len(total) or total[0] < noise:
        return np.inf
    worst = 1.0
    for values, count in cuts:
        if not len(values):
            continue
        relative = np.concatenate([total[:1], values[:count]])
        if unsure(relative, [tolerance]) or values[min(count, len(values)) - 1] < 1e-3 * total[0]:
            return np.inf
        if count < len(values):
            gap = values[count - 1] - values[count]
            worst = max(worst, float(total[0] / gap) if gap > noise else np.inf)
        worst = max(worst, float(total[0] / values[min(count, len(values)) - 1]))
    floor = common_below(parts, min(origin.shape), tolerance, total[0])
    return max(worst, dependence(parts, 0, floor), dependence(parts, 2, floor))
