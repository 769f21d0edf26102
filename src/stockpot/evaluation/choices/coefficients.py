"""Learning how much of each ingredient: one network in the graph, not one per ingredient.

The network with weights θ = θ_0 + Σ_k c_k δ_k is run with θ alone as a leaf, which gives
g = dL/dθ; then dL/dc_k = <g, δ_k>, an inner product for each tensor and ingredient. Memory is about
one network and its gradient, for any number of coefficients, one for the whole model or one for
each layer; and the ingredients, unless they are `Stored`.

Shapes: K ingredients, T tensors.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import torch
from torch import Tensor, nn

from ...errors import MergeError
from ...ops.means import affine
from ...typed import to_floats
from ...views.models import open_model

State = Mapping[str, Tensor]


class Stored(Mapping[str, Tensor]):
    """Tensors of a checkpoint by name, each read when it is asked for and then let go.

    A value is what the file had when it was opened; reading costs little where the file is still in
    the memory of the operating system.
    """

    def __init__(self, path: Path) -> None:
        self._entries = open_model(path).entries

    def __getitem__(self, name: str) -> Tensor:
        return self._entries[name].load()

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    def __contains__(self, name: object) -> bool:
        return name in self._entries


@dataclass(frozen=True, slots=True, eq=False)
class _Rows(Sequence[Tensor]):
    """One tensor of each state, asked for when it is used, so that not all are held at once."""

    states: Sequence[State]
    name: str

    def __getitem__(self, k: int | slice) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        return self.states[cast(int, k)][self.name]

    def __len__(self) -> int:
        return len(self.states)


def refuse_different(states: Sequence[State], names: Sequence[str]) -> None:
    """Every state must have the tensors of the first, in the same shapes.

    Raises:
        MergeError: naming a tensor, and what it is in two of them.
    """
    first, name = states[0], names[0]
    for state, other in zip(states[1:], names[1:], strict=True):
        for key in dict.fromkeys([*first, *state]):
            shapes = [tuple(one[key].shape) if key in one else None for one in (first, state)]
            if shapes[0] != shapes[1]:
                said = ["absent" if one is None else one for one in shapes]
                raise MergeError(f"'{key}' is {said[1]} in {other}; {name} has it {said[0]}.")


def learnable_names(network: nn.Module) -> tuple[str, ...]:
    """Floating-point parameters, each once where several names are tied to it."""
    return tuple(name for name, one in network.named_parameters() if one.is_floating_point())


def averaged_names(network: nn.Module) -> tuple[str, ...]:
    """Floating-point buffers that are saved, such as the statistics of batch normalisation.

    They follow the coefficients too, but torch has no gradient of batch normalisation with respect
    to its statistics, so that they say nothing of where to go.
    """
    saved = network.state_dict().keys()
    buffers = network.named_buffers()
    return tuple(name for name, one in buffers if one.is_floating_point() and name in saved)


def combine(
    names: Sequence[str],
    states: Sequence[State],
    coefficients_TK: Tensor,
    base: State | None = None,
) -> dict[str, Tensor]:
    """θ of each name; without a base the rows of coefficients must sum to 1."""
    rows = [to_floats(row_K) for row_K in coefficients_TK.detach().double()]
    return {
        name: affine(_Rows(states, name), row, None if base is None else base[name])
        for name, row in zip(names, rows, strict=True)
    }


def inner_products(
    gradients: Sequence[Tensor | None],
    names: Sequence[str],
    states: Sequence[State],
    base: State | None = None,
) -> Tensor:
    """<g, θ_k>, or <g, θ_k - θ_0> with a base, per tensor and ingredient: float64 [T, K].

    Without a base the rows are right up to one number each, which coefficients that sum to 1 never
    feel: they are taken against the first ingredient, so that what all have in common does not
    drown what they differ by. A tensor that the loss does not depend on has zeros.
    """
    out_TK = torch.zeros(len(names), len(states), dtype=torch.float64)
    for t, (gradient, name) in enumerate(zip(gradients, names, strict=True)):
        if gradient is None:
            continue
        origin = (states[0] if base is None else base)[name]
        for k, state in enumerate(states):
            out_TK[t, k] = (gradient.double() * (state[name] - origin)).sum()
    return out_TK
