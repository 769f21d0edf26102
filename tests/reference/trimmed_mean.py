"""Element-wise mean of the models without the floor(trim K) smallest and largest values."""

import math

import numpy as np

from .arrays import State


def merge(
    models: list[State], base: State | None, weights: list[float], seed: int, *, trim: float
) -> State:
    cut = math.floor(round(trim * len(models), 9))
    ordered = {name: np.sort([model[name] for model in models], axis=0) for name in models[0]}
    return {name: rows[cut : len(models) - cut].mean(axis=0) for name, rows in ordered.items()}
