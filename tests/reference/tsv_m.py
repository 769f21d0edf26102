"""TSV-M: first r/T directions of each task, stacked and made orthogonal (methods.md 3.1)."""

import numpy as np

from .arrays import Array, State
from .matrices import SVD, by_matrix, cut, mean_rest, polar, svd, unsure


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
    def low(arrays: list[Array], origin: Array) -> Array:
        parts = stacks(arrays, origin, weights, tolerance)
        u, s, v = (np.concatenate([p[i] for p in parts], axis=(1, 0, 0)[i]) for i in range(3))
        floor = common_below(
            parts, max(1, min(origin.shape) // len(arrays)) * len(arrays), tolerance
        )
        return origin + scale * (polar(u, floor) * s) @ polar(v, floor)

    return by_matrix(models, base, conv, low, mean_rest(scale, weights))


def stacks(arrays: list[Array], origin: Array, weights: list[float], tolerance: float) -> list[SVD]:
    count = max(1, min(origin.shape) // len(arrays))
    parts = []
    for weight, array in zip(weights, arrays, strict=True):
        found = svd(weight * (array - origin))
        first = found[1][0] if len(found[1]) else 0.0
        parts.append(cut(found, count, tolerance * first))
    return parts


def sensitivity(arrays: list[Array], origin: Array, weights: list[float], method: object) -> float:
    """Gaps at the cuts, and how nearly the stacked directions depend on each other."""
    tolerance = getattr(method, "tolerance")  # noqa: B009
    count = max(1, min(origin.shape) // len(arrays))
    noise = 1e-5 * max(float(np.abs(origin).max(initial=0)), 1e-30)
    worst = 1.0
    for weight, array in zip(weights, arrays, strict=True):
        s = svd(weight * (array - origin))[1]
        if not len(s):
            continue
        if unsure(s[:count], [tolerance]) or s[min(count, len(s)) - 1] < 1e-3 * s[0]:
            return np.inf
        if count < len(s):
            gap = s[count - 1] - s[count]
            worst = max(worst, float(s[0] / gap) if gap > noise else np.inf)
        worst = max(worst, float(s[0] / s[min(count, len(s)) - 1]))
    parts = stacks(arrays, origin, weights, tolerance)
    floor = common_below(parts, count * len(arrays), tolerance)
    return max(worst, dependence(parts, 0, floor), dependence(parts, 2, floor))


def common_below(parts: list[SVD], asked: int, tolerance: float, largest: float = 0.0) -> float:
    """The tolerance where directions are missing; else 0.003 s_1 / s_k of it."""
    if sum(len(part[1]) for part in parts) < asked:
        return tolerance
    ratios = [(largest or part[1][0]) / part[1][-1] for part in parts if len(part[1])]
    return tolerance * min(1.0, 0.003 * float(max(ratios, default=1.0)))


def dependence(parts: list[SVD], side: int, tolerance: float) -> float:
    """The largest over the least singular value of directions side by side; inf where unsure."""
    stack = np.concatenate([part[side] for part in parts], axis=1 if side == 0 else 0)
    s = np.linalg.svd(stack, compute_uv=False) if stack.size else np.ones(1)
    floor = max(tolerance, 1e-7) * s[0]
    if np.any((s < 3e-3 * s[0]) & (s > 1e-9 * s[0])) or np.any(np.abs(s - floor) < 1e-2 * floor):
        return np.inf
    return float(s[0] / s[s > floor].min())
