"""Equations 15 and 16 of arXiv 2411.09263, evaluated on fully connected networks with ReLU (K = 1).

    ‖h_l(x)‖ ≤ (K ε_max C √n)^l ‖x‖            (15)
    v_1 = n_0 σ_w² E[x²] + σ_b²,  v_l = n_{l-1} σ_w² K² v_{l-1} + σ_b²     Var(out) ≤ v_L     (16)

ε_max is the largest entry of all weight matrices, n the width of the widest layer, C a constant
that is not given. Both take weights as independent; (15) leaves biases out.
"""

import math
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, nn

from ...errors import StockpotError
from ...networks.network import parts
from ...typed import svd


@dataclass(frozen=True, slots=True, kw_only=True)
class Bound:
    """One layer of one network.

    Attributes:
        of: "single" or "soup".
        layer: its number, from 1.
        norm: the largest ‖h_l(x)‖/‖x‖ over samples.
        norm_bound: (15) over ‖x‖, with C = 1.
        spectral_bound: the product of the layers' largest singular values, which holds for
            networks without biases.
        constant: the C at which (15) is what was measured.
        variance: of the layer's outputs before ReLU, over samples and units.
        variance_bound: (16).
    """

    of: str
    layer: int
    norm: float
    norm_bound: float
    spectral_bound: float
    constant: float
    variance: float
    variance_bound: float


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
