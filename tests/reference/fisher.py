"""Average weighted element by element by max(Fisher, floor)."""

import numpy as np

from .arrays import State


def merge(
    models: list[State],
    base: State | None,
    weights: list[float],
    seed: int,
    *,
    floor: float,
    statistics: list[State],
) -> State:
    found: State = {}
    for name in models[0]:
        precision = [
            w * np.maximum(one[name], floor) for w, one in zip(weights, statistics, strict=True)
        ]
        moved = [p * model[name] for p, model in zip(precision, models, strict=True)]
        found[name] = np.sum(moved, axis=0) / np.sum(precision, axis=0)
    return found
