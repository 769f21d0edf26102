"""Networks whose weights are affine sums of a few others', and low-loss curves through them.

T. Garipov et al., Loss Surfaces, Mode Connectivity, and Fast Ensembling of DNNs, arXiv 1802.10026.
Shapes: P points, K states or control points, N samples, B of a batch, L classes, F outputs.
"""

import copy
import math
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap

from ... import system
from ...data import Dataset
from ...data.changes.augment import Augment
from ...errors import FieldError, StockpotError
from ...evaluation.predictions.predict import Predictions, predict
from ...experiments.fit import Fit
from ...networks.network import parts
from ...ops.means import affine
from ...running.executor import one_thread
from ...training.fitting.loop import fit
from . import CurveKind

State = Mapping[str, Tensor]

POINTS, SAMPLES = 24, 256
"""Networks and samples of one stacked forward pass: more, and activations leave the cache."""
WIDE = 48
"""Channels of a convolution from which on a network runs with its channels last."""

_STACKED = (nn.Linear, nn.LayerNorm, nn.BatchNorm1d)


@dataclass(frozen=True, slots=True, eq=False)
class Span:
    """All networks Σ_k a_k θ_k with Σ_k a_k = 1, weights and buffers alike, in evaluation mode.

    A point with one coefficient of 1 is that state to the last bit, and so is every point between
    equal states. What is no floating-point number is the first state's.

    Attributes:
        shell: a network of the kind, whose own weights are of no account; it is written over.
        states: the K corners, state dicts of it.
    """

    shell: nn.Module
    states: Sequence[State]

    @classmethod
    def of(cls, network: nn.Module, states: Sequence[State]) -> "Span":
        """Of state dicts of a network, which is left as it is.

        Raises:
            StockpotError: states that are not the network's, by names and shapes.
        """
        wanted = {name: one.shape for name, one in network.state_dict().items()}
        for state in states:
            if {name: one.shape for name, one in state.items()} != wanted:
                raise StockpotError(
                    f"these are not all weights of one {type(network).__name__}: their tensors "
                    "have other names or shapes, so there is no way between them."
                )
        shell = copy.deepcopy(network).eval()
        if any(isinstance(one, nn.Conv2d) and one.out_channels >= WIDE for one in shell.modules()):
            # No layer reorders its input then; narrow convolutions on a CPU lose by it.
            shell = cast(nn.Module, cast(Any, shell).to(memory_format=torch.channels_last))
        return cls(shell, states)

    def state(self, weights_K: Sequence[float], names: Sequence[str] = ()) -> dict[str, Tensor]:
        """The tensors of one point; with names only these."""
        return {name: self._tensor(name, weights_K) for name in names or self.states[0]}

    def at(self, weights_K: Sequence[float]) -> nn.Module:
        """The network at a point: the shell, until the next point is asked for."""
        self.shell.load_state_dict(self.state(weights_K))
        return self.shell

    def run(self, points: Sequence[Sequence[float]], data: Dataset) -> Iterator[Predictions]:
        """What the network at each point says of a split, in order.

        Where all weights are of linear layers and norms, several points are one pass by `vmap`
        over stacked weights, and of the first layer, which is linear in its weights, only the
        corners are computed: W x = Σ_k a_k (W_k x). Other networks run one by one: stacked
        convolutions are grouped ones, which are slower on a CPU than one after the other. Both
        give the same but for rounding.

        Args:
            points: K coefficients each, which sum to 1.
            data: the split.

        Raises:
            StockpotError: an empty split, or an output that does not fit its classes.
        """
        if not (stacks(self.shell) and min(len(points), len(self.states)) > 1 and len(data)):
            yield from (predict(self.at(point), data) for point in points)
            return
        predict(self.at(points[0]), data.take(torch.arange(1)))  # refuses what does not fit
        system.here.keep_freed_blocks()
        with one_thread(), torch.no_grad():
            first = _first_layer(self.shell, data.batch(slice(1)))
            corners = self._corners(first, data) if first else []
        for start in range(0, len(points), POINTS):
            with one_thread(), torch.no_grad():
                logits_PNL = self._stacked(points[start : start + POINTS], data, first, corners)
            for logits_NL in logits_PNL:
                yield Predictions(logits=logits_NL, labels=data.labels, originals=data.originals)

    def _tensor(self, name: str, weights_K: Sequence[float]) -> Tensor:
        rows = [state[name] for state in self.states]
        return affine(rows, weights_K) if rows[0].is_floating_point() else rows[0].clone()

    def _stacked(
        self,
        points: Sequence[Sequence[float]],
        data: Dataset,
        first: str,
        corners: Sequence[tuple[Tensor, Tensor]],
    ) -> Tensor:
        """Logits [P, N, L]."""
        own = {name for name, _ in (*self.shell.named_parameters(), *self.shell.named_buffers())}
        skipped = {f"{first}.weight", f"{first}.bias"} if first else set[str]()
        names = [name for name in self.states[0] if name in own - skipped]
        states = [self.state(point, names) for point in points]
        stacked = {name: torch.stack([one[name] for one in states]) for name in names}
        coefficients_PK = torch.tensor(points, dtype=torch.float64)[:, 1:]
        found: list[Tensor] = []
        for number, start in enumerate(range(0, len(data), SAMPLES)):
            inputs = data.batch(slice(start, start + SAMPLES))
            if not first:
                found.append(vmap(self._call, in_dims=(0, None))(stacked, inputs))
                continue
            origin, differences = corners[number]
            flat_PE = coefficients_PK.to(origin.dtype) @ differences.flatten(1)
            outputs = flat_PE.reshape(-1, *origin.shape).add_(origin)
            found.append(self._behind(first, stacked, outputs, inputs))
        return torch.cat(found, dim=1)

    def _call(self, tensors: dict[str, Tensor], inputs: Tensor) -> Tensor:
        return functional_call(self.shell, tensors, (inputs,))

    def _behind(
        self, first: str, stacked: dict[str, Tensor], outputs_PBF: Tensor, inputs: Tensor
    ) -> Tensor:
        """What follows the first layer, whose outputs are given."""
        layer = parts(self.shell)[first]

        def call(tensors: dict[str, Tensor], output_BF: Tensor) -> Tensor:
            with _answering(layer, lambda _: output_BF):
                return self._call(tensors, inputs)

        return vmap(call)(stacked, outputs_PBF)

    def _corners(self, first: str, data: Dataset) -> list[tuple[Tensor, Tensor]]:
        """Of each batch the first layer's outputs in state 0, and the others' less these."""
        layer, found = parts(self.shell)[first], list[tuple[Tensor, Tensor]]()

        def answer(inputs: Tensor) -> Tensor:
            weights = [(one[f"{first}.weight"], one.get(f"{first}.bias")) for one in self.states]
            origin, *others = (nn.functional.linear(inputs, *one) for one in weights)
            found.append((origin, torch.stack([one - origin for one in others])))
            return origin

        with _answering(layer, answer):
            for start in range(0, len(data), SAMPLES):
                self.shell(data.batch(slice(start, start + SAMPLES)))
        return found


def stacks(network: nn.Module) -> bool:
    """Whether points of a network are run side by side: all its weights in linear layers and norms.

    Example:
        >>> stacks(nn.Sequential(nn.Linear(2, 2), nn.ReLU())), stacks(nn.Conv2d(1, 1, 3))
        (True, False)
    """
    owners = [one for one in network.modules() if list(one.parameters(recurse=False))]
    return bool(owners) and all(type(one) in _STACKED for one in owners)


def _first_layer(network: nn.Module, inputs: Tensor) -> str:
    """The name of a linear layer that runs before all others with weights, and once; else ''."""
    order: list[str] = []

    def note(name: str) -> Callable[..., None]:
        return lambda *_: order.append(name)

    owners = {n: one for n, one in parts(network).items() if list(one.parameters(recurse=False))}
    handles = [one.register_forward_pre_hook(note(name)) for name, one in owners.items()]
    try:
        network(inputs)
    finally:
        for handle in handles:
            handle.remove()
    if not order or order.count(order[0]) > 1 or not order[0]:
        return ""
    return order[0] if isinstance(owners[order[0]], nn.Linear) else ""


@contextmanager
def _answering(layer: nn.Module, answer: Callable[[Tensor], Tensor]) -> Generator[None]:
    """The layer gives `answer` in place of what it computes."""
    cast(Any, layer).forward = answer
    try:
        yield
    finally:
        del cast(Any, layer).forward


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
