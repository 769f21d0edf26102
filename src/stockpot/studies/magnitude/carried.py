"""Forward passes that cannot overflow: each sample's activations with an exponent of their own.

A value is v · 2^e with v of at most 1 and a whole number e ≥ 0 for each sample. Layers that are
linear up to a bias act on v, and their biases are divided by 2^e; what is large is divided by a
power of two, which rounds nothing. So the result is that of float64 wherever float64 does not
overflow, and goes on where it does.

Shapes: N samples, L classes, F features.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.func import functional_call

from ...data import Dataset
from ...evaluation.predictions.predict import BATCH, Predictions
from ...networks import Headed
from .walking import Affine, BatchNorm, Plan


@dataclass(frozen=True, slots=True, eq=False)
class Carried:
    """A value v · 2^e: v is float64 [N, ...], e int64 [N]."""

    values: Tensor
    exponents: Tensor

    def one(self) -> Tensor:
        """What 1 is beside these values, 2^-e, [N, 1, ...]; 0 where it is below all numbers."""
        return _beside(
            torch.ldexp(torch.ones_like(self.exponents).double(), -self.exponents), self.values
        )

    def small(self) -> "Carried":
        """The same with no value above 1."""
        largest_N = self.values.abs().flatten(1).amax(dim=1)
        steps_N = torch.frexp(largest_N).exponent.long().clamp_(min=0)
        scale_N = torch.ldexp(torch.ones_like(largest_N), -steps_N)
        return Carried(self.values * _beside(scale_N, self.values), self.exponents + steps_N)

    def to(self, exponents: Tensor) -> "Carried":
        """The same with larger exponents."""
        scale_N = torch.ldexp(torch.ones_like(exponents).double(), self.exponents - exponents)
        return Carried(self.values * _beside(scale_N, self.values), exponents)


class _Exact:
    """The arithmetic of a forward pass."""

    def affine(self, layer: Affine, value: Carried) -> Carried:
        bias = layer.bias
        if bias is None:
            return Carried(layer(value.values), value.exponents).small()
        linear = functional_call(layer, {"bias": torch.zeros_like(bias)}, (value.values,))
        shape = (-1,) if isinstance(layer, nn.Linear) else (-1, *[1] * (linear.ndim - 2))
        one = _beside(value.one().flatten(), linear)
        return Carried(linear + bias.view(shape) * one, value.exponents).small()

    def batch_norm(self, layer: BatchNorm, value: Carried) -> Carried:
        mean, variance = cast(Tensor, layer.running_mean), cast(Tensor, layer.running_var)
        scale = (variance + layer.eps).rsqrt()
        scale, shift = (scale * layer.weight, layer.bias) if layer.affine else (scale, 0 * scale)
        wide = [one.view(-1, *[1] * (value.values.ndim - 2)) for one in (mean, scale, shift)]
        one = value.one()
        found = (value.values - wide[0] * one) * wide[1] + wide[2] * one
        return Carried(found, value.exponents).small()

    def group_norm(self, layer: nn.GroupNorm, value: Carried) -> Carried:
        values, groups = value.values, layer.num_groups
        grouped = values.reshape(len(values), groups, -1)
        mean = grouped.mean(dim=2, keepdim=True)
        variance = grouped.var(dim=2, unbiased=False, keepdim=True)
        eps = layer.eps * value.one().flatten()[:, None, None] ** 2
        normal = ((grouped - mean) / (variance + eps).sqrt()).reshape(values.shape)
        if layer.affine:
            shape = (-1, *[1] * (values.ndim - 2))
            normal = normal * layer.weight.view(shape) + layer.bias.view(shape)
        return Carried(normal, torch.zeros_like(value.exponents)).small()

    def relu(self, value: Carried) -> Carried:
        return Carried(value.values.relu(), value.exponents)

    def same(self, part: Callable[[Tensor], Tensor], value: Carried) -> Carried:
        return Carried(part(value.values), value.exponents)

    def add(self, one: Carried, other: Carried) -> Carried:
        most_N = torch.maximum(one.exponents, other.exponents)
        return Carried(one.to(most_N).values + other.to(most_N).values, most_N).small()


@dataclass(frozen=True, slots=True, eq=False)
class CarriedRun:
    """What a network says about each sample, whatever its size.

    Attributes:
        logits: [N, L] and their exponents.
        features: [N, F] and theirs.
        seen: labels and originals.
    """

    logits: Carried
    features: Carried
    seen: Predictions


def run_carried(plan: Plan[Carried], subject: Headed, data: Dataset) -> CarriedRun:
    """Run a float64 network over a split with carried exponents.

    Args:
        plan: of this network's parts.
        subject: in float64, and in evaluation mode.
        data: the split.

    Cost: about two forward passes in float64.
    """
    logits: list[Carried] = []
    features: list[Carried] = []
    with torch.no_grad():
        for start in range(0, len(data), BATCH):
            inputs = data.batch(slice(start, start + BATCH)).double()
            value = Carried(inputs, torch.zeros(len(inputs), dtype=torch.int64)).small()
            out, before = plan.run(subject.network, cast(Any, _EXACT), value)
            logits.append(out)
            features.append(before)
    whole = _together(logits)
    seen = Predictions(whole.values, data.labels, data.originals)
    return CarriedRun(whole, _together(features), seen)


def comparable(runs: Sequence[CarriedRun]) -> list[Predictions]:
    """Several networks' predictions on one scale for each sample, for means of them.

    Logits are divided by one power of two for all networks, which changes no class. So are
    features, which get a last column, the 1 that the head's bias is multiplied by: see
    `carried_head`.
    """
    most_N = torch.stack([one.logits.exponents for one in runs]).amax(dim=0)
    last_N = torch.stack([one.features.exponents for one in runs]).amax(dim=0)
    found: list[Predictions] = []
    for one in runs:
        features = one.features.to(last_N)
        found.append(
            Predictions(
                one.logits.to(most_N).values,
                one.seen.labels,
                one.seen.originals,
                features=torch.cat([features.values, features.one()], dim=1),
            )
        )
    return found


def carried_head(head: nn.Linear) -> Callable[[Tensor], Tensor]:
    """A head for features with a last column, which its bias is multiplied by."""

    def apply(features: Tensor) -> Tensor:
        values, one = features[:, :-1], features[:, -1:]
        logits = values @ head.weight.double().mT
        bias = cast(Tensor | None, head.bias)
        return logits if bias is None else logits + one * bias.double()

    return apply


_EXACT = _Exact()


def _beside(values_N: Tensor, others: Tensor) -> Tensor:
    """[N] as [N, 1, ...], for products with the others."""
    return values_N.view(-1, *[1] * (others.ndim - 1))


def _together(batches: Sequence[Carried]) -> Carried:
    return Carried(
        torch.cat([one.values for one in batches]), torch.cat([one.exponents for one in batches])
    )
