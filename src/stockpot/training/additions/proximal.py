"""The proximal term: a penalty on the distance from an anchor.

FedProx: T. Li et al., Federated Optimization in Heterogeneous Networks, arXiv 1812.06127.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from ...errors import StockpotError
from ...experiments.additions import Proximal
from ...networks.layers import EVERY_PARAMETER, Layers, require_same, values_of

_TORCH = cast(Any, torch)
_TERM = Proximal()


@dataclass(frozen=True, slots=True, eq=False)
class ProximalTerm:
    """A term for any training loss that holds weights near an anchor.

        weight / 2 · Σ_l ||θ_l - θ*_l||²        gradient: weight · (θ - θ*)

    With the global model as anchor it is FedProx; with the weights that fine-tuning starts from it
    is the regulariser toward the initialisation of Merging Decision Transformers (there weight / 2
    is called init_reg).

    Attributes:
        anchor: a network or state dict; its values are copied once, now.
        weight: larger holds closer; FedProx tries 0.001, 0.01, 0.1 and 1.
        layers: which tensors count; every parameter, as in FedProx. `Layers()` is the choice that
            the scope penalty makes.

    Call it with the network in training: `loss = loss + term(network)`. It holds the anchor and,
    for the moment of a call, one more copy of what counts; two passes over the weights.

    Raises:
        StockpotError: where the anchor lacks a tensor that counts, or has it in another shape.
    Example:
        >>> network = nn.Linear(2, 1)
        >>> term = ProximalTerm(network, weight=1.0)
        >>> with torch.no_grad():
        ...     _ = network.bias.add_(3.0)
        >>> term(network).item()
        4.5

    Source: T. Li et al., arXiv 1812.06127; Lawson and Qureshi, arXiv 2303.07551.
    """

    anchor: nn.Module | Mapping[str, Tensor]
    weight: float = _TERM.weight
    layers: Layers = EVERY_PARAMETER
    _values: dict[str, Tensor] = field(default_factory=dict[str, Tensor], init=False, repr=False)

    def __post_init__(self) -> None:
        Proximal(weight=self.weight)  # which has its bounds
        there = self.anchor
        found = values_of(self.layers.of(there)) if isinstance(there, nn.Module) else there
        self._values.update({name: one.detach().clone() for name, one in found.items()})

    def __call__(self, network: nn.Module) -> Tensor:
        """The penalty of a network as it is now."""
        weights = self.layers.of(network)
        require_same(weights, self._values, "the anchor")
        for name, one in weights.items():
            there = self._values[name]
            if there.shape != one.shape:
                raise StockpotError(
                    f"'{name}' is {tuple(one.shape)}; the anchor's is {tuple(there.shape)}."
                )
            if (there.device, there.dtype) != (one.device, one.dtype):
                self._values[name] = there.to(one.device, one.dtype)
        function = cast(Any, _Distance)
        anchor = [self._values[name] for name in weights]
        total: Tensor = function.apply(anchor, *weights.values())
        return self.weight / 2 * total


class _Distance(torch.autograd.Function):
    """Σ_l ||θ_l - θ*_l||² as one node of the graph; the difference is not kept but made again."""

    @staticmethod
    def forward(ctx: Any, anchor: list[Tensor], *weights: Tensor) -> Tensor:
        ctx.anchor = anchor
        ctx.save_for_backward(*weights)
        apart = _TORCH._foreach_sub(weights, anchor)
        return torch.stack([one.float().square() for one in _TORCH._foreach_norm(apart)]).sum()

    @staticmethod
    @once_differentiable  # pyright's view of it loses the names of the arguments
    def backward(  # pyright: ignore[reportIncompatibleMethodOverride]
        ctx: Any, *grad_outputs: Tensor
    ) -> tuple[Tensor | None, ...]:
        needed = ctx.needs_input_grad[1:]
        pairs = [
            (one, there)
            for one, there, wanted in zip(ctx.saved_tensors, ctx.anchor, needed, strict=True)
            if wanted
        ]
        apart = _TORCH._foreach_sub([one for one, _ in pairs], [there for _, there in pairs])
        _TORCH._foreach_mul_(apart, 2 * grad_outputs[0])
        made = iter(apart)
        return (None, *(next(made) if wanted else None for wanted in needed))
