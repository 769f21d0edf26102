"""SLERP per tensor, flattened, with the straight line above a cosine (methods.md 1.8)."""

import math

import numpy as np

from .arrays import Array, State


def merge(
    models: list[State],
    base: State | None,
    weights: list[float],
    seed: int,
    *,
    t: float,
    lerp_above: float,
) -> State:
    first, second = models
    return {name: slerp(first[name], second[name], t, lerp_above) for name in first}


def cosine(a: Array, b: Array) -> float:
    """The cosine between two arrays as vectors; 1 where one has no direction."""
    lengths = math.sqrt(float(np.sum(a * a))) * math.sqrt(float(np.sum(b * b)))
    return float(np.sum(a * b)) / lengths if lengths else 1.0


def slerp(a: Array, b: Array, t: float, lerp_above: float) -> Array:
    dot = min(max(cosine(a, b), -1.0), 1.0)
    if abs(dot) > lerp_above or abs(dot) > 1 - 1e-14:
        return (1 - t) * a + t * b
    omega = math.acos(dot)
    return (math.sin((1 - t) * omega) * a + math.sin(t * omega) * b) / math.sin(omega)


def is_doubtful(models: list[State], name: str, lerp_above: float) -> bool:
    """Whether rounding decides between arc and line, or the arc hangs on a tiny sine."""
    dot = abs(cosine(models[0][name], models[1][name]))
    return abs(dot - lerp_above) < 1e-9 or 1e-14 < 1 - dot < 1e-3
