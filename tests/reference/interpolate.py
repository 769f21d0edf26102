"""WiSE-FT: θ = (1 - t) θ_a + t θ_b over the whole state dict (methods.md 1.5)."""

from .arrays import State


def merge(
    models: list[State], base: State | None, weights: list[float], seed: int, *, t: float
) -> State:
    first, second = models
    return {name: (1 - t) * first[name] + t * second[name] for name in first}
