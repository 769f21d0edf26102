"""How far each model is from what the others have among themselves: outliers from Gram matrices.

Shapes: T tensors, K models, n of them.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .statistics import Matrix

Floats = NDArray[np.float64]

FLOORS = {"length": 0.1, "distance": 0.1, "direction": 0.05, "layer": 0.05}
"""The least spread, so that models which are alike by chance make no outlier of another: 10% of a
length, 0.05 of a cosine, 5 of 100 parts of a squared distance."""
_NORMAL = 1.4826
"""Makes the median absolute deviation of normal numbers their standard deviation."""
_ALIKE = 1e-6
"""Of a task vector's length: distances below it are rounding."""


@dataclass(frozen=True, slots=True, eq=False)
class Places:
    """Where models are among each other.

    Attributes:
        lengths: |δ_k| over all tensors, [K].
        distances: |θ_k - mean of the others|, [K, T].
        cosines: of δ_k and the others' mean task vector, [K, T]; NaN where one is 0, and around the
            mean.
        cosine: the same over all tensors, [K].
    """

    lengths: Floats
    distances: Floats
    cosines: Floats
    cosine: Floats

    @property
    def distance(self) -> Floats:
        """Over all tensors, [K]."""
        return np.sqrt((self.distances**2).sum(1))

    @property
    def shares(self) -> Floats:
        """Of a model's squared distance, [K, T]; 0 of a copy of the others' mean."""
        whole_K1 = (self.distances**2).sum(1, keepdims=True)
        return np.divide(
            self.distances**2, whole_K1, out=np.zeros_like(self.distances), where=whole_K1 > 0
        )


def places(deltas_TKK: Floats, *, around_base: bool) -> Places:
    """Lengths, distances and cosines from inner products of task vectors.

    With D_ij = <δ_i, δ_j>, s_i = Σ_j D_ij and n models:

        |θ_i - (1/(n-1)) Σ_{j≠i} θ_j|² = (n / (n-1))² (D_ii - 2 s_i / n + Σ_j s_j / n²)
        <δ_i, Σ_{j≠i} δ_j> = s_i - D_ii        |Σ_{j≠i} δ_j|² = Σ_j s_j - 2 s_i + D_ii
    """
    count = deltas_TKK.shape[1]
    own_TK = np.diagonal(deltas_TKK, axis1=1, axis2=2)
    sums_TK = deltas_TKK.sum(2)
    whole_T1 = sums_TK.sum(1, keepdims=True)
    apart_TK = own_TK - 2 * sums_TK / count + whole_T1 / count**2
    apart_TK = np.where(apart_TK > _ALIKE**2 * own_TK, apart_TK, 0.0)
    distance_TK = count / max(count - 1, 1) * np.sqrt(apart_TK)
    inner_TK, others_TK = sums_TK - own_TK, whole_T1 - 2 * sums_TK + own_TK
    length_K = np.sqrt(own_TK.sum(0))
    if around_base:
        cosine_TK = _cosine(inner_TK, own_TK, others_TK)
        cosine_K = _cosine(inner_TK.sum(0), own_TK.sum(0), others_TK.sum(0))
    else:
        cosine_TK, cosine_K = np.full_like(own_TK, np.nan), np.full_like(length_K, np.nan)
    return Places(length_K, distance_TK.T, cosine_TK.T, cosine_K)


def stacked(grams: Sequence[Matrix]) -> Floats:
    """[T, K, K], float64."""
    return np.array(grams, dtype=np.float64)


@dataclass(frozen=True, slots=True)
class Deviation:
    """How many spreads of the others a model is off, in four ways; 0 and below is not off.

    Attributes:
        length, distance, direction, layer: see `deviations`.
        place: the number of the tensor of `layer`.
    """

    length: float
    distance: float
    direction: float
    layer: float
    place: int


def deviations(deltas_TKK: Floats, *, around_base: bool) -> tuple[Deviation, ...]:
    """How far each of K ≥ 3 models is off, in spreads of what the others have without it.

    With m_i the measure of model i, and m_j those of the others among themselves, as if i were not
    there:

        z_i = ± (m_i - median_j m_j) / max(1.4826 median_j |m_j - median|, floor)

    length: m = ln |δ|, longer is suspicious; around a base only. distance: m = ln of the distance
    to the mean of the rest, over sqrt(n / (n - 1)) of n models, which is how noise alone makes it
    depend on n. direction: m = the cosine with the rest's mean task vector, less is suspicious;
    around a base only. layer: m = the share of one tensor in the squared distance, more is
    suspicious; the largest over tensors, with the spread of all tensors and models together where
    that is wider.
    """
    count = deltas_TKK.shape[1]
    all_of_them = places(deltas_TKK, around_base=around_base)
    found: list[Deviation] = []
    for i in range(count):
        rest = [j for j in range(count) if j != i]
        among = places(deltas_TKK[:, rest][:, :, rest], around_base=around_base)
        found.append(_deviation(all_of_them, i, among, around_base=around_base))
    return tuple(found)


def _deviation(whole: Places, i: int, among: Places, *, around_base: bool) -> Deviation:
    least = _ALIKE * max(float(whole.lengths.max()), float(whole.distance.max()))
    count = len(whole.lengths)
    layer_T = _layers(whole.shares[i], among.shares)
    place = int(layer_T.argmax())
    return Deviation(
        length=_off(_log(whole.lengths[i], least), _log(among.lengths, least), "length")
        if around_base
        else 0.0,
        distance=_off(
            _log(whole.distance[i] / noise(count), least),
            _log(among.distance / noise(count - 1), least),
            "distance",
        ),
        direction=_off(-whole.cosine[i], -among.cosine, "direction"),
        layer=float(layer_T[place]) if whole.distance[i] > least else 0.0,
        place=place,
    )


def noise(count: int) -> float:
    """How independent noise makes a distance to the mean of the n - 1 others depend on n."""
    return float(np.sqrt(count / (count - 1)))


def _log(value: Floats | np.float64, least: float) -> Floats:
    return np.log(np.maximum(value, least or 1.0))


def _off(own: Floats, others_n: Floats, way: str) -> float:
    known_n = others_n[np.isfinite(others_n)]
    if not np.isfinite(own) or not len(known_n):
        return 0.0
    middle = np.median(known_n)
    spread = _NORMAL * np.median(np.abs(known_n - middle))
    return float((own - middle) / max(float(spread), FLOORS[way]))


def _layers(own_T: Floats, others_nT: Floats) -> Floats:
    middle_T = np.median(others_nT, axis=0)
    apart_nT = np.abs(others_nT - middle_T)
    spread_T = _NORMAL * np.maximum(np.median(apart_nT, axis=0), np.median(apart_nT))
    return (own_T - middle_T) / np.maximum(spread_T, FLOORS["layer"])


def _cosine(inner: Floats, own: Floats, others: Floats) -> Floats:
    scale = np.sqrt(np.maximum(own, 0.0)) * np.sqrt(np.maximum(others, 0.0))
    found = np.divide(inner, scale, out=np.full_like(inner, np.nan), where=scale > 0)
    return np.clip(found, -1.0, 1.0)
