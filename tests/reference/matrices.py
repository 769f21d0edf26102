"""What the references of spectral methods share: which arrays are matrices, SVDs, polar factors.

Test models have tensors called layers.N.weight: two dimensions are a matrix, more a convolution.
"""

from collections.abc import Callable, Iterable

import numpy as np

from .arrays import Array, State

LEAST = 1e-12
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
) -> State:
    """`merge` on matrices, `rest` on everything else; both get the models' arrays and base's."""
    merged: State = {}
    for name, first in models[0].items():
        arrays = [model[name] for model in models]
        origin = base[name] if base else np.zeros_like(first)
        if is_taken(first, conv):
            flat = [a.reshape(len(a), a[0].size if len(a) else 0) for a in (*arrays, origin)]
            merged[name] = merge(flat[:-1], flat[-1]).reshape(first.shape)
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


def polar(array: Array, tolerance: float) -> Array:
    u, s, v = svd(array)
    u, s, v = cut((u, s, v), len(s), max(tolerance, 1e-7) * s[0] if len(s) else 0.0)
    return u @ v


def mean_rest(scale: float, weights: list[float]) -> Callable[..., Array]:
    def rest(arrays: list[Array], origin: Array) -> Array:
        total = sum(w * (a - origin) for w, a in zip(weights, arrays, strict=True))
        return origin + scale / len(arrays) * total

    return rest


def unsure(values: Array, lines: Iterable[float]) -> bool:
    """Whether a rounding decides on which side of a line, a share of the largest, a value is."""
    shares = values / values[0] if len(values) and values[0] else np.zeros(0)
    return any(bool(np.any(np.abs(shares - line) < 1e-4)) for line in lines if line > 1e-4)
