"""Weight Scope Alignment: a penalty that pulls each layer's scope to a target.

Xu, Li, Gan, Zhan, Weight Scope Alignment, arXiv 2408.12237. Shapes: L layers.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from ...errors import FieldError, StockpotError
from ...experiments.additions import ScopePenalty
from ...networks.layers import Layers, require_same
from ...ops.distribution import Scope, Scopes
from .scopes import Model, scope_of

_LONGEST = 2**22
_PENALTY = ScopePenalty()

Target = Model | Scopes | Mapping[str, tuple[float, float]] | tuple[float, float]
"""What has a scope: a model, the scope of each tensor by name, or one (mean, std) for all."""


@dataclass(frozen=True, slots=True, eq=False)
class ScopeRegularizer:
    """A term for any training loss that pulls layers to a target scope.

        weight · Σ_l KL(N(μ_l, σ_l²) || N(μ*_l, σ*_l²))
        KL = ln(σ*/σ) + (σ² + (μ - μ*)²) / 2σ*² - 1/2

    μ_l and σ_l are mean and standard deviation over all n entries of a tensor. The gradient is
    weight · [(μ - μ*) / nσ*² + (1/σ*² - 1/σ²) (w_i - μ) / n]: it acts on two numbers of each layer
    and leaves the weights free otherwise.

    Attributes:
        target: a network, state dict or path, whose scope is taken once, now; a mapping of tensor
            names to (mean, std), such as from `fuse_scopes`; or one (mean, std) for every tensor.
        weight: larger holds scopes closer; the paper's is not known here, 1e-4 to 1 are sensible.
        layers: which tensors count; those of convolutions and linear layers.
        floor: σ is at least this in the formula; below it, the spread has no gradient.

    Call it with the network in training: `loss = loss + regularizer(network)`. The penalty is a
    float32 scalar on the network's device; it takes a pass over the weights, its gradient another.

    Raises:
        StockpotError: a target with a standard deviation of 0, or without a tensor that counts.
    Example:
        >>> network = nn.Linear(2, 2)
        >>> round(ScopeRegularizer(network, weight=1.0)(network).item(), 6) == 0
        True
        >>> bool(ScopeRegularizer((0.0, 0.02))(network) > 0)
        True

    Deviations: which tensors count, the floor and the default weight are this implementation's.
    """

    target: Target
    weight: float = _PENALTY.weight
    layers: Layers = _PENALTY.layers
    floor: float = 1e-8
    _placed: dict[object, tuple[Tensor, Tensor, Tensor]] = field(
        default_factory=dict[object, tuple[Tensor, Tensor, Tensor]], init=False, repr=False
    )

    def __post_init__(self) -> None:
        ScopePenalty(weight=self.weight, layers=self.layers)  # which has their bounds
        if not 1e-30 <= self.floor < float("inf"):
            raise FieldError(f"scope-penalty: floor must be in [1e-30, ∞); got {self.floor:g}.")
        object.__setattr__(self, "target", resolve_target(self.target, self.layers))

    def __call__(self, network: nn.Module) -> Tensor:
        """The penalty of a network as it is now."""
        weights = self.layers.of(network)
        function = cast(Any, _Divergence)
        total: Tensor = function.apply(*self._on(weights), self.floor, *weights.values())
        return self.weight * total

    def _on(self, weights: Mapping[str, nn.Parameter]) -> tuple[Tensor, Tensor, Tensor]:
        """The target's means and deviations, and sizes, on the weights' device; copied once."""
        device = next(iter(weights.values())).device
        key = (device, tuple((name, one.numel()) for name, one in weights.items()))
        if key not in self._placed:
            found = cast(Scopes | Scope, self.target)
            if not isinstance(found, Scope):
                require_same(weights, found, "the target scope")
            each = [found if isinstance(found, Scope) else found[name] for name in weights]
            exact = torch.float32 if device.type == "mps" else torch.float64
            numbers = [
                [one.mean for one in each],
                [one.std for one in each],
                [one.numel() for one in weights.values()],
            ]
            mean_L, std_L, size_L = torch.tensor(numbers, dtype=exact, device=device).unbind()
            self._placed[key] = mean_L, std_L, size_L
        return self._placed[key]


class _Divergence(torch.autograd.Function):
    """Σ_l KL_l as one node of the graph: ten small steps for all layers, and one for each."""

    @staticmethod
    def forward(
        ctx: Any, mean_L: Tensor, std_L: Tensor, size_L: Tensor, floor: float, *weights: Tensor
    ) -> Tensor:
        moments = [_moments(one.flatten(), std_L.dtype) for one in weights]
        own_L = torch.stack([mean for mean, _ in moments])
        var_L = torch.stack([squares for _, squares in moments]) / size_L
        square_L, gap_L, aim_L = var_L.clamp(min=floor**2), own_L - mean_L, std_L.square()
        slope_L = torch.where(var_L < floor**2, 0.0, (1 / aim_L - 1 / square_L) / size_L)
        ctx.save_for_backward(slope_L, gap_L / (aim_L * size_L), own_L, *weights)
        kl_L = 0.5 * (aim_L.log() - square_L.log() + (square_L + gap_L.square()) / aim_L - 1)
        return kl_L.sum().float()

    @staticmethod
    @once_differentiable  # pyright's view of it loses the names of the arguments
    def backward(  # pyright: ignore[reportIncompatibleMethodOverride]
        ctx: Any, *grad_outputs: Tensor
    ) -> tuple[Tensor | None, ...]:
        (grad,) = grad_outputs
        slope_L, shift_L, own_L, *weights = ctx.saved_tensors
        slopes, shifts = (grad * slope_L).unbind(), (grad * (shift_L - slope_L * own_L)).unbind()
        pairs = zip(weights, slopes, shifts, strict=True)
        needed = ctx.needs_input_grad[4:]
        found = [
            torch.addcmul(shift.to(one.dtype), one, slope.to(one.dtype)) if wanted else None
            for (one, slope, shift), wanted in zip(pairs, needed, strict=True)
        ]
        return (None, None, None, None, *found)


def _moments(weight_N: Tensor, exact: torch.dtype) -> tuple[Tensor, Tensor]:
    """Mean, and sum of squares around it; a quarter of the time that torch.var_mean takes.

    A dot product keeps float32 sums, so a long one is cut and its parts are added up exactly.
    """
    wide_N = weight_N.float() if weight_N.dtype.itemsize < 4 else weight_N
    mean = wide_N.mean()
    centred_N = wide_N - mean
    pieces = (centred_N[at : at + _LONGEST] for at in range(0, len(centred_N), _LONGEST))
    parts = [torch.dot(one, one) for one in pieces]
    return mean.to(exact), torch.stack(parts).to(exact).sum()


def resolve_target(target: Target, layers: Layers) -> Scopes | Scope:
    """The target in numbers, every standard deviation above 0."""
    if isinstance(target, tuple):
        found = {"the target": Scope(*map(float, target))}
    elif isinstance(target, nn.Module | str | Path) or _holds_tensors(target):
        found = scope_of(cast(Model, target), layers)
    else:
        pairs = cast(Mapping[str, tuple[float, float]], target)
        found = {name: Scope(*map(float, pair)) for name, pair in pairs.items()}
    for name, one in found.items():
        if not (0 < one.std < float("inf")) or one.mean != one.mean:
            raise StockpotError(
                f"the target scope of '{name}' is {tuple(one)}: its standard deviation must be "
                "above 0. Where a layer starts at zero, leave it out: Layers(leave=...)."
            )
    return found["the target"] if isinstance(target, tuple) else found


def _holds_tensors(target: Mapping[str, object]) -> bool:
    return any(isinstance(one, Tensor) for one in target.values())
