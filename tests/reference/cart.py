"""CART: the average plus the truncated SVDs of the centred task vectors (methods.md 3.4)."""

import numpy as np

from .arrays import Array, State
from .matrices import by_matrix, svd


def merge(
    models: list[State],
    base: State | None,
    weights: list[float],
    seed: int,
    *,
    rank: float,
    rank_count: int,
    energy: float,
    scale: float,
    around: str,
    tensors: str,
    conv: str,
    qkv: str,
) -> State:
    def low(arrays: list[Array], origin: Array) -> Array:
        centre, deltas, shares = centred(arrays, origin, weights, around)
        cuts = [best(delta, rank, rank_count, energy) for delta in deltas]
        return centre + scale * sum(c * cut for c, cut in zip(shares, cuts, strict=True))

    def rest(arrays: list[Array], origin: Array) -> Array:
        centre, deltas, shares = centred(arrays, origin, weights, around)
        if around == "average":
            return centre
        return centre + scale * sum(c * delta for c, delta in zip(shares, deltas, strict=True))

    return by_matrix(models, base or {}, conv, low, rest)


def centred(
    arrays: list[Array], origin: Array, weights: list[float], around: str
) -> tuple[Array, list[Array], list[float]]:
    """The centre, differences from it, and what each counts."""
    if around == "base":
        return origin, [a - origin for a in arrays], weights
    shares = [w / sum(weights) for w in weights]
    centre = sum(c * a for c, a in zip(shares, arrays, strict=True))
    return centre, [a - centre for a in arrays], [len(arrays) * c for c in shares]


def kept(values: Array, full: int, rank: float, rank_count: int, energy: float) -> int:
    if rank_count:
        return min(rank_count, full)
    if energy:
        shares = np.cumsum(values**2) / np.sum(values**2) if len(values) else np.ones(1)
        return int(np.sum(shares < energy * (1 - 1e-12))) + 1
    return max(1, int(rank * full + 1e-9))


def best(delta: Array, rank: float, rank_count: int, energy: float) -> Array:
    u, s, v = svd(delta)
    k = kept(s, min(delta.shape), rank, rank_count, energy)
    return (u[:, :k] * s[:k]) @ v[:k]


def sensitivity(arrays: list[Array], origin: Array, weights: list[float], method: object) -> float:
    """By how much the cut magnifies a rounding: the largest value over the gap at the cut."""
    rank, count = getattr(method, "rank"), getattr(method, "rank_count")  # noqa: B009
    energy, around = getattr(method, "energy"), getattr(method, "around")  # noqa: B009
    worst = 1.0
    centre, deltas, _ = centred(arrays, origin, weights, around)
    for delta in deltas:
        s = np.linalg.svd(delta, compute_uv=False) if delta.size else np.zeros(0)
        noise = 1e-5 * max(float(np.abs(centre).max(initial=0)), 1e-30)
        if not len(s) or s[0] <= 1e-12 * noise:
            continue
        if energy and not count:
            shares = np.cumsum(s**2) / np.sum(s**2)
            if np.any(np.abs(shares - energy) < 1e-4):
                return np.inf
        k = kept(s, len(s), rank, count, energy)
        if k < len(s):
            gap = s[k - 1] - s[k]
            worst = max(worst, float(s[0] / gap) if gap > noise else np.inf)
    return worst
