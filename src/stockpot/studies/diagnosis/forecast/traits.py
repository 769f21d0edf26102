"""Traits of a pool of models: a flat set of numbers, read from weights alone, free of any scale.

Shapes: K models.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields, replace
from itertools import combinations
from statistics import median

from ....errors import FieldError, MergeError
from ...onepass.statistics import Matrix, Statistics, TensorStatistics, cosine, summed

LAYERS = ("conv", "matrix", "expert-stack", "embedding")
"""Roles of what is called a layer here: not biases, scales and statistics."""
STATISTICS = ("norm-stat",)


@dataclass(frozen=True, slots=True, kw_only=True)
class Traits:
    """What a forecast looks at. θ_k are the models, θ̄ their mean, δ_k = θ_k - base.

    Layers are the tensors of the roles in `LAYERS`. Those that no model has changed, constant
    tables and frozen layers, have no say, unless the models are copies. "Over layers" counts each
    layer once, "whole" takes all layers as one vector. Where there is no base, what is of task
    vectors is NaN. All numbers stay as they are where every model and the base are multiplied by
    one number, and where the models change their order.

    Attributes:
        count: K.
        depth: log2 of the number of layers.
        size: log10 of the number of their entries.
        norms: 1 where a layer's outputs are normalised (a vector is called weight), else 0.
        batch_norm: 1 where there are statistics of batches, else 0.
        cosine: of two models, whole, mean over pairs.
        cosine_pair: of the pair that is least alike, whole.
        cosine_layers: mean over layers and pairs.
        cosine_layer: of the layer that is least alike, mean over pairs.
        spread: rms_k |θ_k - θ̄| / rms_k |θ_k|, whole: 0 of copies, sqrt(1 - 1/K) of unrelated ones.
        spread_layers: the median over layers.
        spread_layer: the largest over layers.
        shrink: Σ over layers of ln(|θ̄| / rms_k |θ_k|), how much smaller than the models' outputs
            those of the average are, if nothing normalises them: 0 of copies, -ln(K) / 2 for each
            layer of unrelated ones.
        outlier: the largest |θ_k - θ̄|² over the median of the models', whole; 1 of alike ones.
        lengths: ln of the longest over the shortest model, whole.
        scope: mean over layers of ln(σ_max / σ_min) over models, σ the entries' standard deviation.
        scope_layer: the largest over layers.
        kurtosis: median over layers and models of the excess kurtosis, within [-2, 10].
        batches: rms over statistics of batches of rms_k |s_k - s̄| / rms_k |s_k|; 0 without any.
        moved: log10 of rms_k |δ_k| / |base|, whole.
        moved_layer: the same of the layer that moved farthest.
        task_cosine: of two task vectors, whole, mean over pairs.
        task_cosine_pair: of the pair that is least alike.
        task_cosine_layers: the median over layers of the mean over pairs.
        task_lengths: ln of the longest over the shortest task vector, whole.
        agree: how often signs of two task vectors are equal, mean over pairs, whole.
        majority: share of entries with the sign that most task vectors have there, whole.
    """

    count: float
    depth: float
    size: float
    norms: float
    batch_norm: float
    cosine: float
    cosine_pair: float
    cosine_layers: float
    cosine_layer: float
    spread: float
    spread_layers: float
    spread_layer: float
    shrink: float
    outlier: float
    lengths: float
    scope: float
    scope_layer: float
    kurtosis: float
    batches: float
    moved: float
    moved_layer: float
    task_cosine: float
    task_cosine_pair: float
    task_cosine_layers: float
    task_lengths: float
    agree: float
    majority: float

    @property
    def based(self) -> bool:
        """Whether there was a base."""
        return not math.isnan(self.moved)

    def without_base(self) -> "Traits":
        """What would be known without it."""
        return replace(self, **dict.fromkeys(OF_TASK_VECTORS, math.nan))


OF_TASK_VECTORS = (
    "moved",
    "moved_layer",
    "task_cosine",
    "task_cosine_pair",
    "task_cosine_layers",
    "task_lengths",
    "agree",
    "majority",
)
"""What is known with a base only."""
NAMES = tuple(one.name for one in fields(Traits))


def traits_of(found: Statistics) -> Traits:
    """The traits of a pool, from what one pass over its checkpoints found.

    The base counts where it has every layer; else it is as if there were none.

    Args:
        found: of two models or more, with or without a base.

    Raises:
        FieldError: statistics of one model.
        MergeError: no tensor that all models have is a layer.

    Example:
        >>> import torch
        >>> from stockpot.studies import statistics_of
        >>> pool = [{"a.weight": torch.eye(4)}, {"a.weight": 2 * torch.eye(4)}]
        >>> round(traits_of(statistics_of(pool)).cosine, 6)
        1.0
    """
    if len(found.names) < 2:
        raise FieldError("traits are of two models or more; got one.")
    every = found.among(LAYERS)
    if not every:
        raise MergeError("no layer is in all models: stockpot inspect shows what is where.")
    changed = [one for one in every if _trace(one.around_mean) > 0 or _moved(one)]
    layers = changed or list(every)
    whole = summed([one.gram for one in layers])
    apart = summed([one.around_mean for one in layers])
    spreads = [_spread(one.gram, one.around_mean) for one in layers]
    alike = [_mean(_cosines(one.gram)) for one in layers if _trace(one.gram) > 0]
    off = [apart[k][k] for k in range(len(apart))]
    scopes = [_range(e.moments.std for e in one.models) for one in layers]
    batches = [_spread(one.gram, one.around_mean) for one in found.among(STATISTICS)]
    return Traits(
        count=float(len(found.names)),
        depth=math.log2(len(every)),
        size=math.log10(sum(one.numel for one in every)),
        norms=float(any(map(_is_scale, found.among(("vector",))))),
        batch_norm=float(bool(batches)),
        cosine=_mean(_cosines(whole)),
        cosine_pair=min(_cosines(whole), default=1.0),
        cosine_layers=_mean(alike),
        cosine_layer=min(alike, default=1.0),
        spread=_spread(whole, apart),
        spread_layers=median(spreads),
        spread_layer=max(spreads),
        shrink=math.fsum(math.log(max(1 - one**2, 1e-12)) / 2 for one in spreads),
        outlier=max(off) / median(off) if median(off) > 0 else 1.0,
        lengths=_range(math.sqrt(max(whole[k][k], 0.0)) for k in range(len(whole))),
        scope=_mean(scopes),
        scope_layer=max(scopes),
        kurtosis=_kurtosis(layers),
        batches=math.sqrt(_mean([one**2 for one in batches])) if batches else 0.0,
        **_task_traits(layers),
    )


def _task_traits(layers: Sequence[TensorStatistics]) -> dict[str, float]:
    if any(one.centre != "base" or one.base is None for one in layers):
        return dict.fromkeys(OF_TASK_VECTORS, math.nan)
    whole = summed([one.deltas for one in layers])
    cosines = _cosines(whole)
    by_layer = [_mean(angles) for one in layers if (angles := _cosines(one.deltas))]
    moves = [_relative(one.deltas, _square(one)) for one in layers]
    pairs = list(combinations(range(len(whole)), 2))
    met = [(one, i, j, one.signs.both[i][j] * one.numel) for one in layers for i, j in pairs]
    agreed = math.fsum(one.signs.agree[i][j] * n for one, i, j, n in met if n)
    votes = [one.numel * math.fsum(one.signs.nonzero) for one in layers]
    won = math.fsum(one.signs.majority * n for one, n in zip(layers, votes, strict=True) if n)
    return {
        "moved": _log10(_relative(whole, math.fsum(map(_square, layers)))),
        "moved_layer": _log10(max(moves)),
        "task_cosine": _mean(cosines),
        "task_cosine_pair": min(cosines, default=1.0),
        "task_cosine_layers": median(by_layer) if by_layer else 1.0,
        "task_lengths": _range(math.sqrt(max(whole[k][k], 0.0)) for k in range(len(whole))),
        "agree": _quotient(agreed, math.fsum(n for *_, n in met)),
        "majority": _quotient(won, math.fsum(votes)),
    }


def _moved(one: TensorStatistics) -> bool:
    return one.centre == "base" and _trace(one.deltas) > 0


def _is_scale(one: TensorStatistics) -> bool:
    """A vector called weight is a normalisation's."""
    return len(one.shape) == 1 and one.name.rpartition(".")[2] == "weight"


def _trace(gram: Matrix) -> float:
    return math.fsum(max(gram[k][k], 0.0) for k in range(len(gram)))


def _spread(gram: Matrix, apart: Matrix) -> float:
    """rms |θ_k - θ̄| / rms |θ_k|; 0 of zeros."""
    return math.sqrt(min(_trace(apart) / _trace(gram), 1.0)) if _trace(gram) > 0 else 0.0


def _cosines(gram: Matrix) -> list[float]:
    """Of all pairs of which none is 0."""
    found = [cosine(gram, i, j) for i, j in combinations(range(len(gram)), 2)]
    return [one for one in found if math.isfinite(one)]


def _square(one: TensorStatistics) -> float:
    """|base|², from its moments."""
    assert one.base is not None
    return one.numel * (one.base.moments.mean**2 + one.base.moments.std**2)


def _relative(deltas: Matrix, square: float) -> float:
    """rms |δ_k| / |base|; 0 where nothing moved, and where there is nothing to compare with."""
    return math.sqrt(_trace(deltas) / len(deltas) / square) if square > 0 else 0.0


def _log10(value: float) -> float:
    """Bounded below: six decimals of a model are copies here."""
    return math.log10(max(value, 1e-6))


def _range(values: Iterable[float]) -> float:
    """ln(max / min), at most 10: e^10 is as good as infinite."""
    there = sorted(values)
    if there[-1] <= 0:
        return 0.0
    return min(math.log(there[-1] / there[0]), 10.0) if there[0] > 0 else 10.0


def _kurtosis(layers: Sequence[TensorStatistics]) -> float:
    each = [e.moments.kurtosis for one in layers for e in one.models]
    known = [min(max(one, -2.0), 10.0) for one in each if math.isfinite(one)]
    return median(known) if known else 0.0


def _quotient(part: float, whole: float) -> float:
    return part / whole if whole > 0 else 1.0


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values) if values else 1.0
