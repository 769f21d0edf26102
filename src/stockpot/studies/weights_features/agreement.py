"""How far one network's features are from the average of several networks' features, by layer.

Batch by batch, with running sums: no feature outlives its batch.

Shapes: B samples of a batch, U units of a layer, K members.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ...errors import StockpotError
from ...networks.network import require_evaluation_mode
from .passes import Call, Step, observe
from .result import Kind, LayerAgreement


@dataclass(slots=True, eq=False)
class _Features:
    """One layer's features in one batch: the first member's, and the others' differences from it.

    Differences, so that copies of one network have a spread of exactly nothing.
    """

    kind: Kind
    inputs: Tensor | None
    output: Tensor
    input_shift: Tensor | None
    output_shift: Tensor
    apart: float = 0.0
    positive: Tensor | None = None
    variance: float = 0.0


@dataclass(slots=True, eq=False)
class _Sums:
    """Over batches, of one layer and one merged network; squares are sums over all units."""

    kind: Kind
    gap: float = 0.0
    mean: float = 0.0
    merged: float = 0.0
    spread: float = 0.0
    own: float = 0.0
    kept: float = 0.0
    alone: bool = False
    cosine: float = 0.0
    samples: int = 0
    disagree: float = 0.0
    units: int = 0
    variance: float = 0.0
    variances: float = 0.0


@dataclass(slots=True, eq=False)
class Agreement:
    """What `compare_layers` found.

    Attributes:
        layers: of each merged network, in forward order.
        mean_logits: of the members, all samples [N, L].
        logits: of each member, then of each merged network.
    """

    layers: tuple[tuple[LayerAgreement, ...], ...]
    mean_logits: Tensor
    logits: tuple[Tensor, ...]


@torch.no_grad()
def compare_layers(
    members: Sequence[nn.Module], merged: Sequence[nn.Module], batches: Iterable[Tensor]
) -> Agreement:
    """Every layer of some merged networks against the average of the members' features.

    Args:
        members: networks of one kind, in evaluation mode.
        merged: networks of that kind, made of the members.
        batches: inputs, of two samples or more each; variances are those within batches.

    Raises:
        StockpotError: a network is in training mode, there is no batch, or layers do not run in
            the same order in all networks.

    Cost: one pass of each network, and each layer once more. Memory: about four times all features
        of one network on one batch.
    """
    for network in (*members, *merged):
        require_evaluation_mode(network, "comparing features")
    sums: list[dict[str, _Sums]] = [{} for _ in merged]
    logits: list[list[Tensor]] = [[] for _ in (*members, *merged)]
    for batch in batches:
        features: dict[str, _Features] = {}
        for place, network in enumerate(members):
            logits[place].append(_first_pass(network, batch, features, first=place == 0))
        for place, network in enumerate(merged, len(members)):
            found = _second_pass(network, batch, features, len(members), sums[place - len(members)])
            logits[place].append(found)
    if not logits[0]:
        raise StockpotError("Features cannot be compared on no data at all.")
    outputs = tuple(torch.cat(one) for one in logits)
    mean = torch.stack(outputs[: len(members)]).mean(0)
    layers = tuple(tuple(map(_told, range(len(one)), one, one.values())) for one in sums)
    return Agreement(layers, mean, outputs)


def _first_pass(
    network: nn.Module, batch: Tensor, features: dict[str, _Features], *, first: bool
) -> Tensor:
    """A member: its features are added to those of the members before it."""
    seen: list[str] = []

    def see(step: Step) -> None:
        seen.append(step.name)
        if first:
            features[step.name] = _begun(step, len(batch))
        elif step.name in features:
            _add(features[step.name], step, len(batch))

    output = observe(network, batch, see)
    _require_order(seen, features)
    return output


def _begun(step: Step, samples: int) -> _Features:
    inputs = None if step.inputs is None else step.inputs.clone()
    numbers = inputs is not None and inputs.is_floating_point()
    return _Features(
        kind=step.kind,
        inputs=inputs,
        output=step.output.clone(),
        input_shift=torch.zeros_like(inputs) if inputs is not None and numbers else None,
        output_shift=torch.zeros_like(step.output),
        positive=(inputs > 0).short() if inputs is not None and step.kind == "activation" else None,
        variance=_variance(step.output, samples),
    )


def _add(held: _Features, step: Step, samples: int) -> None:
    shift = step.output - held.output
    held.output_shift += shift
    held.apart += _square(shift)
    held.variance += _variance(step.output, samples)
    if held.input_shift is not None and held.inputs is not None and step.inputs is not None:
        held.input_shift += step.inputs - held.inputs
        if held.positive is not None:
            held.positive += step.inputs > 0


def _second_pass(
    network: nn.Module,
    batch: Tensor,
    features: dict[str, _Features],
    members: int,
    sums: dict[str, _Sums],
) -> Tensor:
    """A merged network against what the members have left; its layers run alone afterwards."""
    calls: list[tuple[str, Call | None]] = []

    def see(step: Step) -> None:
        calls.append((step.name, step.call))
        held = features.get(step.name)
        if held is not None:
            kept = sums.setdefault(step.name, _Sums(step.kind))
            _compare(kept, held, step.output, members, len(batch))

    output = observe(network, batch, see)
    _require_order([name for name, _ in calls], features)
    for name, call in calls:
        held = features[name]
        if call is not None and held.inputs is not None:
            shift = held.input_shift
            mean = held.inputs if shift is None else held.inputs + shift / members
            alone = call(mean)
            sums[name].alone = True
            sums[name].own += _square((alone - held.output) - held.output_shift / members)
            sums[name].kept += _square(alone)
    return output


def _compare(sums: _Sums, held: _Features, output: Tensor, members: int, samples: int) -> None:
    shift = held.output_shift / members
    mean = held.output + shift
    sums.gap += _square((output - held.output) - shift)
    sums.mean += _square(mean)
    sums.merged += _square(output)
    sums.spread += max(held.apart / members - _square(shift), 0.0)
    sums.variance += _variance(output, samples)
    sums.variances += held.variance / members
    if len(output) % samples == 0:
        a_BU, b_BU = output.reshape(samples, -1).double(), mean.reshape(samples, -1).double()
        cosine_B = torch.cosine_similarity(a_BU, b_BU, dim=1, eps=0.0)
        there_B = cosine_B.isfinite()  # a feature of all zeros has no direction
        sums.cosine += float(cosine_B[there_B].sum())
        sums.samples += int(there_B.sum())
    if held.positive is not None and members > 1:
        up = held.positive.double()
        sums.disagree += float((up * (members - up)).sum()) / (members * (members - 1) / 2)
        sums.units += up.numel()


def _require_order(seen: list[str], features: dict[str, _Features]) -> None:
    if seen != list(features):
        raise StockpotError(
            "The networks do not run the same layers in the same order, so that their features "
            "cannot be compared layer by layer."
        )


def _square(values: Tensor) -> float:
    return float(values.square().sum(dtype=torch.float64))


def _variance(values: Tensor, samples: int) -> float:
    """Squares about the mean within a batch, summed over units."""
    if samples < 2 or len(values) % samples:
        return 0.0
    each_BU = values.reshape(samples, -1)
    return _square(each_BU - each_BU.mean(dim=0))


def _told(place: int, name: str, sums: _Sums) -> LayerAgreement:
    nan = math.nan
    return LayerAgreement(
        place=place,
        layer=name,
        kind=sums.kind,
        cosine=sums.cosine / sums.samples if sums.samples else nan,
        distance=_root(sums.gap, sums.mean),
        length=_root(sums.merged, sums.mean),
        spread=_root(sums.spread, sums.mean),
        own=_root(sums.own, sums.mean) if sums.alone else nan,
        kept=_root(sums.kept, sums.mean) if sums.alone else nan,
        disagree=sums.disagree / sums.units if sums.units else nan,
        variance=sums.variance / sums.variances if sums.variances else nan,
    )


def _root(part: float, whole: float) -> float:
    return math.sqrt(part / whole) if whole else math.nan
