"""CART's average; what is given beside it is held to CART itself in tests/factors."""

from . import average
from .arrays import State


def merge(
    models: list[State],
    base: State | None,
    weights: list[float],
    seed: int,
    *,
    rank: float,
    tensors: str,
    conv: str,
    qkv: str,
) -> State:
    return average.merge(models, base, weights, seed)
