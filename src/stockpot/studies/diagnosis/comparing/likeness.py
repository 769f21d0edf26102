"""Which model is unlike the others, which are copies, and whose layers have another scale.

Shapes: K models.
"""

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from statistics import median

import numpy as np

from ...onepass.deviations import Floats, noise, places, stacked
from ...onepass.statistics import Statistics, TensorStatistics, summed
from ...study import PARAMETERS
from .architecture import BASE
from .kinship import LEAST, SAME, distance

WEIGHTS = ("conv", "matrix", "embedding", "expert-stack")
FAR = 3.0
"""A model so many times as far from the mean of the others as they are from each other."""
MISMATCH = 1.5
"""Standard deviations of one layer that differ by this factor between models are pointed at."""
SCALED = 2.0
"""A model whose layers have so many times (or so small a part of) the others' deviation, in the
median, has another scale."""
DROWNED = 4.0
"""Two models that differ so much in the median layer do not average: the larger one stays."""
NEAR = 0.05
"""Two models whose distance is such a part of the usual one are nearly copies."""
ROUNDING = {"bfloat16": 2.0**-8, "float16": 2.0**-11}
"""Relative distance within which weights of another dtype are the same weights rounded."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Copy:
    """Two models, or a model and the base, that are the same or nearly.

    Attributes:
        one, other: their names; the base is `BASE`, whatever its path.
        distance: |θ_i - θ_j| over the root of the mean of their squared lengths; 0 of the same.
        said: how much the same, in words.
    """

    one: str
    other: str
    distance: float
    said: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerScope:
    """The scope of one layer in all models.

    Attributes:
        tensor: its name.
        entries: how many.
        stds: of each model.
        ratio: of the largest to the smallest; infinite where one is 0 and not all.
    """

    tensor: str
    entries: int
    stds: tuple[float, ...]
    ratio: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """How one model stands to the others.

    Attributes:
        far: its distance from the mean of the others over what theirs from each other lead one to
            expect, the median over layers; NaN for fewer than three models, or where all others
            are copies.
        scale: its standard deviation over the median of all models' and the base's, the median over
            layers; NaN of two models without a base, of which neither is the odd one.
    """

    far: float
    scale: float


def trained(found: Statistics) -> list[TensorStatistics]:
    """Tensors that are trained, not counted."""
    return list(found.among(PARAMETERS))


def standings(found: Statistics) -> tuple[Standing, ...]:
    """How each model stands to the others, over layers that are not the same in all.

    For model k, with m the mean of the others and m_j that of the others without j,

        far = |θ_k - m| / (c median_j |θ_j - m_j|)      c² = (1 + 1/(K-1)) / (1 + 1/(K-2))

    so that it is about 1 for models that are alike, whatever their number, and that a model far off
    does not hide itself by pulling the mean.
    """
    layers = [one for one in found.among(WEIGHTS) if one.numel >= LEAST]
    count = len(found.names)
    moved = [one for one in layers if any(one.around_mean[k][k] for k in range(count))]
    far = (
        _far(stacked([one.deltas for one in moved])) if moved and count > 2 else [math.nan] * count
    )
    return tuple(
        Standing(far=far[k], scale=_median([_scale(one, k) for one in layers]))
        for k in range(count)
    )


def _far(deltas_TKK: Floats) -> list[float]:
    """Of each of K models, the median over T layers."""
    count = deltas_TKK.shape[1]
    away_KT = places(deltas_TKK, around_base=False).distances / noise(count)
    found: list[float] = []
    for k in range(count):
        rest = [j for j in range(count) if j != k]
        among = places(deltas_TKK[:, rest][:, :, rest], around_base=False)
        usual_T = np.median(among.distances, axis=0) / noise(count - 1)
        known_T = usual_T > SAME * away_KT[k]
        found.append(_median((away_KT[k][known_T] / usual_T[known_T]).tolist()))
    return found


def _scale(one: TensorStatistics, k: int) -> float:
    every = [*one.models, *([] if one.base is None else [one.base])]
    stds = [e.moments.std for e in every]
    usual = median(stds)
    return stds[k] / usual if len(stds) > 2 and usual > 0 else math.nan


def _median(values: Sequence[float]) -> float:
    known = [one for one in values if math.isfinite(one)]
    return median(known) if known else math.nan


def scopes_by_layer(found: Statistics) -> tuple[LayerScope, ...]:
    """Standard deviations of each layer, and how far apart they are between models."""
    return tuple(
        LayerScope(
            tensor=one.name,
            entries=one.numel,
            stds=stds,
            ratio=max(stds) / min(stds) if min(stds) > 0 else math.inf,
        )
        for one in found.among(WEIGHTS)
        if one.numel >= LEAST and any(stds := tuple(e.moments.std for e in one.models))
    )


def copies_of(found: Statistics, peers: Sequence[Collection[str]]) -> tuple[Copy, ...]:
    """Models that are copies of each other or of the base, by all tensors that are trained.

    Args:
        found: of the models.
        peers: models among which distances are usual ones: those of one start, none of them far
            off. Two that are no peers are not nearly copies: there is nothing to compare with.
    """
    every = trained(found)
    if not every:
        return ()
    names = found.names
    deltas, gram = summed([one.deltas for one in every]), summed([one.gram for one in every])
    pairs = [(i, j) for i in range(len(names)) for j in range(i)]
    apart = {pair: distance(deltas, *pair) for pair in pairs}
    said = list[Copy]()
    for (i, j), far in apart.items():
        group = next((one for one in peers if names[i] in one and names[j] in one), ())
        others = [
            value
            for (a, b), value in apart.items()
            if (a, b) != (i, j) and names[a] in group and names[b] in group
        ]
        length = math.sqrt((gram[i][i] + gram[j][j]) / 2)
        relative = far / length if length > 0 else 0.0
        close = SAME * math.sqrt(deltas[i][i] + deltas[j][j])
        usual = median(others) if others else 0.0
        if words := _how_same(every, i, j, far=far, close=close, usual=usual, relative=relative):
            distance_ = 0.0 if far <= close else relative
            said.append(Copy(one=names[j], other=names[i], distance=distance_, said=words))
    return (*said, *_copies_of_base(found, every))


def _how_same(
    every: Sequence[TensorStatistics],
    i: int,
    j: int,
    *,
    far: float,
    close: float,
    usual: float,
    relative: float,
) -> str:
    if far <= close:
        return "the same weights"
    kinds = {frozenset({one.models[i].dtype, one.models[j].dtype}) for one in every}
    mixed = [kind for kind in kinds if len(kind) > 1]
    if mixed and relative <= max(ROUNDING.get(name, 0.0) for kind in mixed for name in kind):
        return "the same weights, rounded to another dtype"
    if far <= NEAR * usual:
        return f"nearly the same weights ({far / usual:.1%} of the usual distance)"
    return ""


def _copies_of_base(found: Statistics, every: Sequence[TensorStatistics]) -> list[Copy]:
    based = [one for one in every if one.base is not None]
    if found.base is None or not based:
        return []
    return [
        Copy(one=name, other=BASE, distance=0.0, said="the same weights")
        for k, name in enumerate(found.names)
        if not any(one.signs.nonzero[k] for one in based)
    ]
