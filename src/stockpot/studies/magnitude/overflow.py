"""From which factor on all weights a network overflows: predicted from its norms, and observed."""

import copy
import math
from collections.abc import Callable
from typing import Any, cast

from torch import Tensor, nn

from ...data import Dataset
from ...evaluation.predictions.predict import predict
from ...networks import Headed
from .walking import Affine, BatchNorm, Plan

LARGEST = 128.0
"""log2 of what float32 cannot hold."""
_MOST = 126.0
"""log2 of the largest factor that is tried."""


class _Norms:
    """log2 of the root mean square of activations, of a network whose tensors all grow by 2^m.

    Weights and activations are taken as unrelated: a layer with weights W [outputs, inputs] then
    gives the mean square |W|²/outputs · E[x²], plus that of its biases; ReLU halves it. A norm
    squares what it sees.
    """

    def __init__(self, factor: float) -> None:
        self.factor, self.peak = factor, -math.inf

    def affine(self, layer: Affine, value: float) -> float:
        weight = layer.weight.detach().double().flatten(1)
        gain = _log2(float(weight.square().sum() / len(weight)) ** 0.5)
        found = self.factor + _joined(gain + value, _rms(layer.bias))
        # The largest of n unrelated values is about sqrt(2 ln n) times their root mean square.
        self._reach(found + _log2(math.sqrt(2 * math.log(max(len(weight), 2)))))
        return found

    def batch_norm(self, layer: BatchNorm, value: float) -> float:
        mean, variance = cast(Tensor, layer.running_mean), cast(Tensor, layer.running_var)
        scale = (variance.double() * 2.0**self.factor + layer.eps).rsqrt()
        scale = scale * layer.weight.detach() if layer.affine else scale
        apart = _joined(value, self.factor + _rms(mean))
        found = self.factor + _joined(_rms(scale) + apart, _rms(layer.bias))
        self._reach(found)
        return found

    def group_norm(self, layer: nn.GroupNorm, value: float) -> float:
        self._reach(2 * value)
        return self.factor + _joined(_rms(layer.weight), _rms(layer.bias))

    def relu(self, value: float) -> float:
        return value - 0.5

    def same(self, part: Callable[[Tensor], Tensor], value: float) -> float:
        del part  # it adds no factor
        return value

    def add(self, one: float, other: float) -> float:
        return _joined(one, other)

    def _reach(self, size: float) -> None:
        self.peak = max(self.peak, size)


def predicted_overflow(plan: Plan[float], network: nn.Module, inputs: Tensor) -> float:
    """The factor M on all weights, biases and buffers at which norms say that float32 is full.

    Looks at the norms of the layers and the size of the inputs; nothing is run.

    Args:
        plan: of the network's parts.
        network: whose tensors would be multiplied.
        inputs: a batch; only their root mean square counts.

    Returns:
        At least 1; infinity where no factor below 2^126 fills it.
    """
    size = _rms(inputs)

    def full(power: float) -> bool:
        rules = _Norms(power)
        plan.run(network, cast(Any, rules), size)
        return rules.peak >= LARGEST

    return _first(full)


def observed_overflow(
    subject: Headed,
    data: Dataset,
    apply: Callable[[Headed, float], nn.Module],
    exact: Callable[[Headed], Tensor],
    share: float = 0.5,
) -> float:
    """The factor from which float32 says for a share of the samples nothing, or another class.

    Args:
        subject: the network as it is.
        data: a few samples, of one class each.
        apply: multiplies a network's weights.
        exact: classes in an arithmetic that does not overflow, of a network in float64.
        share: of the samples.

    Cost: about 14 pairs of runs.
    """
    wide = subject_in_float64(subject)

    def broken(power: float) -> bool:
        factor = 2.0**power
        said = predict(subject.on(apply(subject, factor)), data).classes()
        right = exact(wide.on(apply(wide, factor)))
        return float(((said != right) | (said == -1)).double().mean()) >= share

    return _first(broken)


def subject_in_float64(subject: Headed) -> Headed:
    """A copy in float64, with its head."""
    return subject.on(copy.deepcopy(subject.network).double())


def _first(reached: Callable[[float], bool]) -> float:
    """The least factor 2^p, p in [0, 126], from which something holds that stays so."""
    low, high = 0.0, _MOST
    if not reached(high):
        return math.inf
    while high - low > 0.01:
        middle = (low + high) / 2
        low, high = (low, middle) if reached(middle) else (middle, high)
    return 2.0 ** ((low + high) / 2)


def _rms(values: Tensor | None) -> float:
    if values is None or not values.numel():
        return -math.inf
    return _log2(float(values.detach().double().square().mean()) ** 0.5)


def _log2(value: float) -> float:
    return math.log2(value) if value > 0 else -math.inf


def _joined(one: float, other: float) -> float:
    """log2 of the root of the sum of squares."""
    most = max(one, other)
    if most == -math.inf:
        return most
    return most + 0.5 * math.log2(2 ** (2 * (one - most)) + 2 ** (2 * (other - most)))
