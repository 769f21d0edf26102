"""Uniform and weighted soup: θ = Σ w θ / Σ w (methods.md 1.1)."""

from .arrays import State


def merge(models: list[State], base: State | None, weights: list[float], seed: int) -> State:
    total = sum(weights)
    return {
        name: sum(w * model[name] for w, model in zip(weights, models, strict=True)) / total
        for name in models[0]
    }
