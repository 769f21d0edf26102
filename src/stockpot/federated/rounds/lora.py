"""Low-rank factors of what a client changes, and their merge on the product.

A client sends B_k and A_k of W + B_k A_k. Averaging B and A apart merges another matrix, because
(Σ p_k B_k)(Σ p_k A_k) ≠ Σ p_k B_k A_k; stacked factors give the right one exactly, of all clients'
rank together. It can be cut to its best approximation of one client's rank.

Source: Hu et al., LoRA, arXiv 2106.09685; Wang et al., FLoRA, arXiv 2409.05976.

Shapes: M rows, N columns (a convolution's kernel flattened), R rank, K clients.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from ...networks.layers import WEIGHTS
from ...networks.network import parts
from ...networks.reproducible import seeded
from ...ops.spectra.factors import Factors
from ...ops.spectra.low_rank import Ranks, top_k
from .messages import State

UP, DOWN = "lora_B", "lora_A"


class Adapter(nn.Module):
    """W + B A, with A drawn at random and B of zeros, so that it begins as W."""

    def __init__(self, shape: tuple[int, ...], rank: int) -> None:
        super().__init__()
        rows, columns = matrix_of(shape)
        self.lora_A = nn.Parameter(torch.randn(rank, columns) / math.sqrt(columns))
        self.lora_B = nn.Parameter(torch.zeros(rows, rank))

    def forward(self, weight: Tensor) -> Tensor:
        """The weight that the layer computes with."""
        return weight + (self.lora_B @ self.lora_A).reshape(weight.shape)


def matrix_of(shape: tuple[int, ...]) -> tuple[int, int]:
    """Rows and columns that a weight has as a matrix."""
    return shape[0], math.prod(shape[1:])


def factor_shapes(state: State, rank: int) -> dict[str, tuple[int, ...]]:
    """Name and shape of each factor that a client of this network sends."""
    found: dict[str, tuple[int, ...]] = {}
    for name, one in state.items():
        shape = tuple(one.shape)
        if WEIGHTS.admits(name, shape, one.dtype):
            rows, columns = matrix_of(shape)
            own = min(rank, rows, columns)
            found |= {f"{name}.{UP}": (rows, own), f"{name}.{DOWN}": (own, columns)}
    return found


def adapt(network: nn.Module, rank: int, seed: int) -> None:
    """Freeze all of a network but new factors at each convolution and matrix, in place."""
    for one in network.parameters():
        one.requires_grad_(False)
    weights, modules = WEIGHTS.of(network), parts(network)
    with seeded(seed):
        for name, weight in weights.items():
            owner, _, attribute = name.rpartition(".")
            shape = tuple(weight.shape)
            adapter = Adapter(shape, min(rank, *matrix_of(shape)))
            parametrize.register_parametrization(modules[owner], attribute, adapter)


def factors_of(network: nn.Module) -> dict[str, Tensor]:
    """The factors of an adapted network, under the names of its weights."""
    found: dict[str, Tensor] = {}
    for owner, module in parts(network).items():
        if not parametrize.is_parametrized(module):
            continue
        for attribute, listed in cast(Mapping[str, Any], module.parametrizations).items():
            name = f"{owner}.{attribute}" if owner else attribute
            for key in (UP, DOWN):
                found[f"{name}.{key}"] = cast(Tensor, getattr(listed[0], key)).detach()
    return found


def pairs_of(state: State) -> dict[str, Factors]:
    """The factors in a state, by the weight that they are of."""
    weights = [name.removesuffix(f".{UP}") for name in state if name.endswith(UP)]
    return {one: Factors(state[f"{one}.{UP}"], state[f"{one}.{DOWN}"]) for one in weights}


def stacked(states: Sequence[State], shares: Sequence[float]) -> dict[str, Factors]:
    """Factors whose product is Σ_k p_k B_k A_k: [p_1 B_1 .. p_K B_K] and [A_1; ..; A_K]."""
    pairs = [pairs_of(state) for state in states]
    return {
        weight: Factors.end_to_end([one[weight] for one in pairs], shares) for weight in pairs[0]
    }


def products(factors: Mapping[str, Factors]) -> dict[str, Tensor]:
    """B A of each weight."""
    return {weight: one.product() for weight, one in factors.items()}


def refactored(changes: State, rank: int) -> dict[str, Factors]:
    """The best of the given rank at most for each weight's change, which is read as a matrix."""
    ranks = Ranks(count=rank)
    found: dict[str, Factors] = {}
    for weight, change in changes.items():
        matrix_MN = change.reshape(matrix_of(tuple(change.shape)))
        found[weight] = top_k(matrix_MN, ranks).balanced(change.dtype)
    return found


def applied(base: State, factors: Mapping[str, Factors]) -> dict[str, Tensor]:
    """The base with each product added to its weight; new tensors only where there are factors."""
    changes = products(factors)
    moved = {name: base[name] + one.reshape(base[name].shape) for name, one in changes.items()}
    return {**base, **moved}
