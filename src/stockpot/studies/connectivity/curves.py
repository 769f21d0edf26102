"""Low-loss curves between two networks: Bezier and polygonal, for any module.

T. Garipov et al., Loss Surfaces, Mode Connectivity, and Fast Ensembling of DNNs, arXiv 1802.10026.
Shapes: K control points.
"""

import copy
import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.func import functional_call

from ...data import Dataset
from ...data.changes.augment import Augment
from ...errors import FieldError
from ...experiments.fit import Fit
from ...training.fitting.loop import fit
from . import CurveKind
from .span import Span, State


def weights_at(kind: CurveKind, count: int, t: float) -> tuple[float, ...]:
    """Coefficients of `count` control points at t in [0, 1]; they sum to 1.

    Bezier: C(n, j) t^j (1 - t)^(n - j) with n = count - 1. Polygon: the point at t of the chain
    whose edges take equal parts of [0, 1].

    Example:
        >>> weights_at("bezier", 3, 0.5), weights_at("polygon", 3, 0.25)
        ((0.25, 0.5, 0.25), (0.5, 0.5, 0.0))
    """
    last = count - 1
    if kind == "bezier":
        return tuple(math.comb(last, j) * t**j * (1 - t) ** (last - j) for j in range(count))
    return tuple(max(0.0, 1 - abs(last * t - j)) for j in range(count))


class Curve(nn.Module):
    """A curve between two fixed networks as a module: its parameters are the bends.

    In training each forward pass is the network at a t drawn uniformly from [0, 1], so that any fit
    minimises E_t[L(φ(t))]. Bends begin on the straight line, evenly.

    Args:
        network: of the kind; left as it is.
        one, other: state dicts of the ends.
        kind: bezier or polygon.
        bends: control points between the ends.

    Raises:
        FieldError: no bend, or more than 16.
    """

    def __init__(
        self,
        network: nn.Module,
        one: State,
        other: State,
        kind: CurveKind = "bezier",
        bends: int = 1,
    ) -> None:
        super().__init__()
        if not 1 <= bends <= 16:
            raise FieldError(f"curve: bends must be in [1, 16]; got {bends}.")
        self.kind: CurveKind = kind
        self.network = copy.deepcopy(network).requires_grad_(False)
        line = Span.of(network, [one, other])
        self.names = tuple(dict(self.network.named_parameters()))
        starts = [(j + 1) / (bends + 1) for j in range(bends)]
        self._ends = (dict(line.state((1, 0))), dict(line.state((0, 1))))
        self._between = [line.state((1 - t, t)) for t in starts]
        values = (state[name].contiguous() for state in self._between for name in self.names)
        self.bends = nn.ParameterList([nn.Parameter(value.clone()) for value in values])

    def forward(self, inputs: Tensor) -> Tensor:
        """The network's output at a point of the curve that is drawn now."""
        shares = weights_at(self.kind, len(self._between) + 2, float(torch.rand(())))
        points = [self._ends[0], *self._bent(), self._ends[1]]
        tensors = {
            name: sum(
                (a * one[name] for a, one in zip(shares, points, strict=True) if a),
                start=torch.zeros(()),
            )
            for name in self.names
        }
        return functional_call(self.network, tensors, (inputs,))

    def control_points(self) -> tuple[State, ...]:
        """State dicts of the ends and of the bends between them, in order."""
        bent = [
            {**state, **{name: one.detach() for name, one in own.items()}}
            for state, own in zip(self._between, self._bent(), strict=True)
        ]
        return (self._ends[0], *bent, self._ends[1])

    def _bent(self) -> list[dict[str, Tensor]]:
        size, flat = len(self.names), list(self.bends)
        return [
            dict(zip(self.names, flat[j * size : (j + 1) * size], strict=True))
            for j in range(len(self._between))
        ]


def fit_curve(
    network: nn.Module,
    one: State,
    other: State,
    data: Dataset,
    *,
    kind: CurveKind = "bezier",
    bends: int = 1,
    how: Fit | None = None,
    augment: Augment | None = None,
) -> tuple[State, ...]:
    """Control points of a curve of low loss from one network to another.

    With control points θ_0 .. θ_n, the first and last of them the given networks,

        φ(t) = Σ_j C(n, j) t^j (1 - t)^(n - j) θ_j     or the polygonal chain through them

    and the θ_j between are fitted to E over t ~ U(0, 1) of the loss of φ(t), one t a step. Every
    point of the curve is then a point of a `Span`: `weights_at` gives its coefficients. Statistics
    of batch norm are on the straight line's; estimate them again where the curve is looked at.

    Args:
        network: of the kind; left as it is.
        one, other: state dicts of the ends.
        data: what the curve is fitted to: a training split.
        kind, bends: of the curve.
        how: optimiser, schedule, length and seed; 10 epochs of SGD at 0.05 without weight decay.
        augment: random changes to each batch.

    Raises:
        StockpotError: states that do not fit the network; a loss that stops being finite.

    Cost: of each step, that of a training step of the network and a sum of n + 1 sets of weights.
    Deviations: the paper's weight decay acts on the curve's weights and runs for up to 200 epochs.
    """
    how = how or Fit(epochs=10, lr=0.05, optimiser="sgd", weight_decay=0.0)
    curve = fit(Curve(network, one, other, kind, bends), data, how, augment=augment)
    return curve.control_points()


def along(kind: CurveKind, count: int, points: int) -> tuple[tuple[float, tuple[float, ...]], ...]:
    """Even steps of t from 0 to 1, with their coefficients."""
    ts = [k / (points - 1) for k in range(points)]
    return tuple((t, weights_at(kind, count, t)) for t in ts)


def straight(points: int) -> Sequence[tuple[float, tuple[float, ...]]]:
    """The same of the line between two networks."""
    return along("polygon", 2, points)
