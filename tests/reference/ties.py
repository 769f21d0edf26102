"""TIES: trim by rank over the whole model (or each tensor), elect, disjoint merge (methods.md 2.2).

The authors flatten all parameters of a model into one vector; mergekit trims tensor by tensor.
"""

import numpy as np

from .arrays import Array, State, each


def merge(
    models: list[State],
    base: State,
    weights: list[float],
    seed: int,
    *,
    density: float | tuple[float, ...],
    scale: float,
    trim: str,
    vote: str,
    reduce: str,
) -> State:
    trimmed = trimmed_deltas(models, base, density, trim)
    merged: State = {}
    for name, origin in base.items():
        weighted = [w * t[name] for w, t in zip(weights, trimmed, strict=True)]
        sign = elected(weighted, vote)
        merged[name] = origin + scale * disjoint(weighted, sign, weights, reduce)
    return merged


def threshold(values: Array, density: float) -> float:
    """The k-th largest magnitude, k = max(1, floor(density n)); 0 for no values."""
    if not values.size:
        return 0.0
    ordered = np.sort(np.abs(values).ravel())[::-1]
    return float(ordered[max(1, int(density * values.size)) - 1])


def trimmed_deltas(
    models: list[State], base: State, density: float | tuple[float, ...], trim: str
) -> list[State]:
    found = []
    for model, fraction in zip(models, each(density, len(models)), strict=True):
        deltas = {name: model[name] - origin for name, origin in base.items()}
        overall = threshold(np.concatenate([d.ravel() for d in deltas.values()]), fraction)
        kept: State = {}
        for name, delta in deltas.items():
            limit = overall if trim == "model" else threshold(delta, fraction)
            kept[name] = np.where(np.abs(delta) >= limit, delta, 0.0)
        found.append(kept)
    return found


def elected(weighted: list[Array], vote: str) -> Array:
    """+1 or -1 for each element; + where the vote is even."""
    votes = weighted if vote == "mass" else [np.sign(delta) for delta in weighted]
    return np.where(sum(votes) >= 0, 1.0, -1.0)


def disjoint(weighted: list[Array], sign: Array, weights: list[float], reduce: str) -> Array:
    """Sum of those with the elected sign, or that over the sum of their weights."""
    agree = [np.sign(delta) == sign for delta in weighted]
    total = sum(np.where(a, delta, 0.0) for a, delta in zip(agree, weighted, strict=True))
    if reduce == "sum":
        return total
    share = sum(np.where(a, w, 0.0) for a, w in zip(agree, weights, strict=True))
    return total / np.where(share == 0, 1.0, share)


def doubtful_votes(weighted: list[Array]) -> Array:
    """Elements whose vote by mass is all but even, so that rounding decides it."""
    mass = sum(np.abs(delta) for delta in weighted)
    return np.abs(sum(weighted)) <= 1e-5 * mass
