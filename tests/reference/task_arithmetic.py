"""Task arithmetic: θ = θ_0 + λ Σ w τ (methods.md 2.1)."""

from .arrays import State


def merge(
    models: list[State], base: State, weights: list[float], seed: int, *, scale: float
) -> State:
    return {
        name: origin
        + scale * sum(w * (model[name] - origin) for w, model in zip(weights, models, strict=True))
        for name, origin in base.items()
    }
