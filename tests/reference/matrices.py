"""What the references of spectral methods share: which arrays are matrices, SVDs, polar factors.

Test models have tensors called layers.N.weight: two dimensions are a matrix, more a convolution.
"""

from collections.abc import Callable, Iterable

import numpy as np

from .arrays import Array, State

LEAST = 1e-12
Grain = tuple[float, float, bool]
"""Of a stored dtype: eps, the least normal number, whether it is narrower than float32."""
SVD = tuple[Array, Array, Array]


def is_taken(array: Array, conv: str) -> bool:
    dimensions = 2 if conv == "average" else 99
    return 2 <= array.ndim <= dimensions and array.size != 1


def by_matrix(
    models: list[State],
    base: State,
    conv: str,
    merge: Callable[..., Array],
    rest: Callable[..., Array],
    grains: dict[str, list[Grain]] | None = None,
) -> State:
    """`merge` on matrices, `rest` on everything else; both get the models' arrays and base's, and
    `merge` where there are any the grains of this tensor in the models, then in the base."""
    merged: State = {}
    for name, first in models[0].items():
        arrays = [model[name] for model in models]
        origin = base[name] if base else np.zeros_like(first)
        if is_taken(first, conv):
            flat = [a.reshape(len(a), a[0].size if len(a) else 0) for a in (*arrays, origin)]
            more = () if grains is None else (grains[name],)
            merged[name] = merge(flat[:-1], flat[-1], *more).reshape(first.shape)
        else:
            merged[name] = rest(arrays, origin)
    return merged


def svd(array: Array) -> SVD:
    """Thin, with the singular values that are not rounding."""
    if not array.size:
        return np.zeros((len(array), 0)), np.zeros(0), np.zeros((0, array.shape[1]))
    u, s, v = np.linalg.svd(array, full_matrices=False)
    real = s > LEAST * s[0]
    return u[:, real], s[real], v[real]


def cut(parts: SVD, count: int, floor: float = 0.0) -> SVD:
    """The first `count` directions, those above `floor`."""
    u, s, v = (parts[0][:, :count], parts[1][:count], parts[2][:count])
    real = s > floor
    return u[:, real], s[real], v[real]


def mean_square_step(array: Array, grain: Grain) -> float:
    """Of the steps of the stored dtype at the values."""
    eps, tiny, _ = grain
    mantissas, exponents = np.frexp(np.abs(array))
    powers = np.where(mantissas > 0, np.ldexp(1.0, exponents - 1), 0.0)
    return float(np.mean((eps * np.maximum(powers, tiny)) ** 2)) if array.size else 0.0


def noise_of(
    arrays: list[Array], origin: Array, weights: list[float], grains: list[Grain], together: bool
) -> list[float]:
    """c s (sqrt m + sqrt n) of each task vector, or of their sum, which shares the base's."""
    base = mean_square_step(origin, grains[-1]) if grains[-1][2] else 0.0
    each = [
        w * w * mean_square_step(a, g) for w, a, g in zip(weights, arrays, grains, strict=False)
    ]
    size = 0.5 * (len(origin) ** 0.5 + origin.shape[1] ** 0.5)
    if together:
        return [size * (sum(each) + sum(weights) ** 2 * base) ** 0.5]
    return [size * (one + w * w * base) ** 0.5 for one, w in zip(each, weights, strict=True)]


def is_real(values: Array, levels: Array | float, rounds: float, above: float = 0.0) -> Array:
    """Above the level; and not after a fall to a thousandth, within `rounds` of it."""
    levels = np.broadcast_to(levels, values.shape)
    before = np.concatenate([[above], values])[: len(values)]
    sudden = (values <= rounds * levels) & (values <= 1e-3 * before)
    return (values > levels) & ~np.logical_or.accumulate(sudden)


def level_and_rounds(tolerance: float, noise: float, largest: float) -> tuple[float, float]:
    return (tolerance * largest, 1.0) if tolerance else (noise, 16.0)


def only_real(parts: SVD, level: float, rounds: float, above: float = 0.0) -> SVD:
    u, s, v = parts
    real = is_real(s, level, rounds, above)
    return u[:, real], s[real], v[real]


def polar(array: Array, levels: Array, rounds: float) -> Array:
    """Of directions side by side, whose noise is `levels` each: a mixture has that of its parts."""
    if not array.size:
        return array
    u, s, v = np.linalg.svd(array, full_matrices=False)
    real = is_real(s, np.maximum(np.sqrt(v**2 @ levels**2), 1e-12 * s[:1]), rounds)
    return u[:, real] @ v[real]


def dependence(stack: Array, levels: Array, rounds: float) -> float:
    """The largest over the least singular value of directions side by side; inf where unsure."""
    if not stack.size:
        return 1.0
    s, v = np.linalg.svd(stack, full_matrices=False)[1:]
    lines = np.maximum(np.sqrt(v**2 @ levels**2), 1e-12 * s[0])
    real = is_real(s, lines, rounds)
    if np.any((s < 3e-3 * s[0]) & (s > 1e-9 * s[0])) or near(s, lines) or not real.any():
        return np.inf
    return float(s[0] / s[real].min())


def near(values: Array, levels: Array | float) -> bool:
    """Whether a rounding may decide on which side of its level a value is."""
    return bool(np.any(np.abs(values - levels) < 1e-2 * np.asarray(levels)))


def mean_rest(scale: float, weights: list[float]) -> Callable[..., Array]:
    def rest(arrays: list[Array], origin: Array) -> Array:
        total = sum(w * (a - origin) for w, a in zip(weights, arrays, strict=True))
        return origin + scale / len(arrays) * total

    return rest


def unsure(values: Array, lines: Iterable[float]) -> bool:
    """Whether a rounding decides on which side of a line, a share of the largest, a value is."""
    shares = values / values[0] if len(values) and values[0] else np.zeros(0)
    return any(bool(np.any(np.abs(shares - line) < 1e-4)) for line in lines if line > 1e-4)
