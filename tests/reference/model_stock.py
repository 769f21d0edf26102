"""Model Stock per tensor: t = K cos / (1 + (K - 1) cos), θ = t mean + (1 - t) θ_0 (methods 1.7)."""

import math
from itertools import combinations

import numpy as np

from .arrays import Array, State


def merge(
    models: list[State], base: State, weights: list[float], seed: int, *, clip: bool
) -> State:
    merged: State = {}
    for name, origin in base.items():
        t = position([model[name] - origin for model in models], clip)
        average = sum(model[name] for model in models) / len(models)
        merged[name] = t * average + (1 - t) * origin
    return merged


def mean_cosine(deltas: list[Array]) -> float | None:
    """Mean cosine over the pairs that have an angle; None where no pair has."""
    found = []
    for a, b in combinations(deltas, 2):
        lengths = math.sqrt(float(np.sum(a * a)) * float(np.sum(b * b)))
        if lengths:
            found.append(float(np.sum(a * b)) / lengths)
    return sum(found) / len(found) if found else None


def position(deltas: list[Array], clip: bool) -> float:
    count, cosine = len(deltas), mean_cosine(deltas)
    if cosine is None:
        return 1.0
    if clip:
        cosine = min(max(cosine, 0.0), 1.0)
    bottom = 1 + (count - 1) * cosine
    return count * cosine / bottom if abs(bottom) > 1e-12 else 0.0


def is_doubtful(models: list[State], base: State, name: str) -> bool:
    """Whether the unclipped position is near its pole, where rounding is magnified."""
    cosine = mean_cosine([model[name] - base[name] for model in models])
    return cosine is not None and 1e-12 < abs(1 + (len(models) - 1) * cosine) < 0.05
