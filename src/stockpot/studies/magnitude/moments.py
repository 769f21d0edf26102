"""Equations 9 to 14 of arXiv 2411.09263 on real ingredients.

    ‖(W_i + W_j)/2‖_max ≤ (‖W_i‖_max + ‖W_j‖_max)/2 ≤ M*
    Var((W_i + W_j)/2) = (v_i + v_j + 2c)/4

The paper leaves out the covariance c, as if W_i and W_j were independent, and has the variance
halved.

Shapes: K models, P entries of a tensor.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import torch
from torch import Tensor, nn

from ...networks.layers import WEIGHTS, values_of
from .result import ALL


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """One tensor of K models, or the mean over tensors; all are means over pairs of models.

    Attributes:
        tensor: its name, or "all".
        maximum: M*, the largest absolute entry of either.
        maximum_of_average: of the average of the two, over M*.
        bound: (‖W_i‖_max + ‖W_j‖_max)/2 over M*, which is above it (equation 10).
        variance: of the entries, the mean of both.
        covariance: between both, over that.
        of_average: Var of the average over the mean of both variances: 1/2 if independent.
        below_larger: share of pairs whose average varies less than the one that varies more.
        of_all: Var of the average of all K over the mean variance; 1/K if independent.
        delta_covariance: of what was learned since the shared start, over its variance; NaN where
            no start is known.
        delta_of_all: of that, as `of_all`.
    """

    tensor: str
    maximum: float
    maximum_of_average: float
    bound: float
    variance: float
    covariance: float
    of_average: float
    below_larger: float
    of_all: float
    delta_covariance: float
    delta_of_all: float


def moments(models: Sequence[nn.Module], base: nn.Module | None) -> tuple[Moment, ...]:
    """Of every weight of a convolution or linear layer, and their mean, which comes first.

    Args:
        models: two or more with the same tensors.
        base: what they share as a start.

    Cost: K x P float64 for one tensor at a time.
    """
    weights = [values_of(WEIGHTS.of(one)) for one in models]
    start = values_of(WEIGHTS.of(base)) if base is not None else {}
    found: list[Moment] = []
    for name in weights[0]:
        stacked_KP = torch.stack([one[name].double().flatten() for one in weights])
        delta_KP = None
        if name in start and start[name].numel() == stacked_KP.shape[1]:
            delta_KP = stacked_KP - start[name].double().flatten()
        found.append(_moment(name, stacked_KP, delta_KP))
    return _mean(found), *found


def covariances(stacked_KP: Tensor) -> Tensor:
    """Between the entries of models, [K, K]; divided by their number."""
    centred_KP = stacked_KP - stacked_KP.mean(dim=1, keepdim=True)
    return centred_KP @ centred_KP.mT / stacked_KP.shape[1]


def _moment(name: str, stacked_KP: Tensor, delta_KP: Tensor | None) -> Moment:
    count = len(stacked_KP)
    pairs = list(combinations(range(count), 2))
    first, second = (torch.tensor(side) for side in zip(*pairs, strict=True))
    largest_K = stacked_KP.abs().amax(dim=1)
    star = torch.maximum(largest_K[first], largest_K[second])
    averages = torch.stack([((stacked_KP[i] + stacked_KP[j]) / 2).abs().max() for i, j in pairs])
    cov_KK = covariances(stacked_KP)
    var_K = cov_KK.diagonal()
    mean = (var_K[first] + var_K[second]) / 2
    of_average = (var_K[first] + var_K[second] + 2 * cov_KK[first, second]) / 4
    larger = torch.maximum(var_K[first], var_K[second])
    delta_covariance, delta_all = _shares(delta_KP) if delta_KP is not None else (math.nan,) * 2
    covariance, of_all = _shares(stacked_KP)
    return Moment(
        tensor=name,
        maximum=float(star.mean()),
        maximum_of_average=float((averages / star).mean()),
        bound=float(((largest_K[first] + largest_K[second]) / 2 / star).mean()),
        variance=float(mean.mean()),
        covariance=covariance,
        of_average=float((of_average / mean).mean()),
        below_larger=float((of_average <= larger * (1 + 1e-12)).double().mean()),
        of_all=of_all,
        delta_covariance=delta_covariance,
        delta_of_all=delta_all,
    )


def _shares(stacked_KP: Tensor) -> tuple[float, float]:
    """Mean covariance of pairs, and variance of the average of all, over the mean variance."""
    cov_KK = covariances(stacked_KP)
    count, trace = len(cov_KK), float(cov_KK.diagonal().sum())
    if not trace:
        return math.nan, math.nan
    whole = float(cov_KK.sum())
    return (whole - trace) / (count * (count - 1)) / (trace / count), whole / count / trace


def _mean(found: Sequence[Moment]) -> Moment:
    def mean(name: str) -> float:
        values = [float(getattr(one, name)) for one in found]
        kept = [one for one in values if not math.isnan(one)]
        return math.fsum(kept) / len(kept) if kept else math.nan

    numbers = {name: mean(name) for name in Moment.__slots__ if name != "tensor"}
    return Moment(tensor=ALL, **numbers)
