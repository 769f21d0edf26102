"""Equations 9 to 14 of arXiv 2411.09263 on real ingredients, and 15 and 16 on their networks.

    ‖(W_i + W_j)/2‖_max ≤ (‖W_i‖_max + ‖W_j‖_max)/2 ≤ M*
    Var((W_i + W_j)/2) = (v_i + v_j + 2c)/4

The paper leaves out the covariance c, as if W_i and W_j were independent, and has the variance
halved. Of fully connected networks with ReLU (Lipschitz constant 1):

    ‖h_l(x)‖ ≤ (ε_max C √n)^l ‖x‖                              (15)
    v_1 = n_0 σ_w² E[x²] + σ_b²,  v_l = n_{l-1} σ_w² v_{l-1} + σ_b²     Var(out) ≤ v_L     (16)

ε_max is the largest entry of all weight matrices, n the width of the widest layer, C a constant
that is not given. Both take weights as independent; (15) leaves biases out.

Shapes: K models, P entries of a tensor.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any, cast

import torch
from torch import Tensor, nn

from ...errors import StockpotError
from ...networks.layers import WEIGHTS, values_of
from ...networks.network import parts
from ...typed import svd
from .result import ALL, Bound


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


def bounds(network: nn.Module, inputs: Tensor, of: str) -> tuple[Bound, ...]:
    """Both bounds for every layer of a network.

    Raises:
        StockpotError: the network is not linear layers with ReLU between them.
    """
    layers = _layers(network)
    seen = _outputs(network, layers, inputs)
    flat = inputs.double().flatten(1)
    size = flat.square().sum(dim=1).sqrt()
    weights = [one.weight.detach().double() for one in layers]
    largest = max(float(one.abs().max()) for one in weights)
    step = largest * math.sqrt(max(max(one.shape) for one in weights))
    found: list[Bound] = []
    spectral, squared, variance = 1.0, float(flat.square().mean()), 0.0
    for number, (layer, weight, output) in enumerate(
        zip(layers, weights, seen, strict=True), start=1
    ):
        after = output if layer is layers[-1] else output.relu()
        norm = float((after.square().sum(dim=1).sqrt() / size).max())
        spectral *= float(svd(weight)[1][0])
        grows = weight.shape[1] * float(weight.var(unbiased=False))
        bias = cast(Tensor | None, layer.bias)
        shift = 0.0 if bias is None else float(bias.detach().double().var(correction=0))
        variance = grows * (squared if number == 1 else variance) + shift
        found.append(
            Bound(
                of=of,
                layer=number,
                norm=norm,
                norm_bound=step**number,
                spectral_bound=spectral,
                constant=norm ** (1 / number) / step,
                variance=float(output.var(correction=0)),
                variance_bound=variance,
            )
        )
    return tuple(found)


def _layers(network: nn.Module) -> list[nn.Linear]:
    kinds = (nn.Linear, nn.ReLU, nn.Flatten, nn.Identity, nn.Dropout)
    leaves = [one for one in parts(network).values() if not list(one.children())]
    layers = [one for one in leaves if isinstance(one, nn.Linear)]
    if len(layers) < 2 or not all(isinstance(one, kinds) for one in leaves):
        raise StockpotError(
            f"{type(network).__name__} is not made of linear layers with ReLU between them, which "
            "equations 15 and 16 are about."
        )
    return layers


def _outputs(network: nn.Module, layers: list[nn.Linear], inputs: Tensor) -> list[Tensor]:
    """Of every layer, before its ReLU, in float64."""
    seen: list[Tensor] = []

    def keep(_layer: nn.Module, _inputs: Any, output: Tensor) -> None:
        seen.append(output.double())

    handles = [cast(Any, one).register_forward_hook(keep) for one in layers]
    try:
        with torch.no_grad():
            network(inputs)
    finally:
        for handle in handles:
            handle.remove()
    return seen
