"""What a network says about each sample of a split, computed once and kept.

Shapes: N samples, L classes, F features, B samples of a batch.
"""

import copy
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import cast

import torch
from torch import Tensor, nn

from ... import system
from ...data import Dataset
from ...errors import StockpotError
from ...networks import Headed
from ...running.executor import in_order

BATCH = 128
"""Samples of one forward pass: with more, the activations of larger networks leave the cache."""


@dataclass(frozen=True, slots=True, eq=False)
class Predictions:
    """Logits beside the labels they are judged by; scores and ensembles need no further forward.

    Attributes:
        logits: float32 [N, L] (float64 of a float64 network).
        labels: int64 [N]; or, where a sample may have several classes, bool [N, L].
        originals: int64 [N]; samples with the same number are views of one original.
        forwards: network evaluations that each sample cost.
        features: what the head saw, [N, F], or None where it was not asked for.
    """

    logits: Tensor
    labels: Tensor
    originals: Tensor
    forwards: int = 1
    features: Tensor | None = None

    @property
    def is_multilabel(self) -> bool:
        """Whether a sample may have several classes."""
        return self.labels.ndim == 2

    def finite(self) -> Tensor:
        """Whether every logit of a sample is finite, bool [N]."""
        return self.logits.isfinite().all(dim=1)

    @property
    def non_finite(self) -> int:
        """How many samples have an output that is not finite; each counts as wrong."""
        return int((~self.finite()).sum())

    def classes(self) -> Tensor:
        """The largest logit's class, int64 [N]; -1, no class, where any logit is not finite.

        Where a sample may have several classes: int64 [N, L], 1 where the logit is positive, and
        -1 throughout a sample with a logit that is not finite.
        """
        if self.is_multilabel:
            return torch.where(self.finite()[:, None], (self.logits > 0).long(), -1)
        return torch.where(self.finite(), self.logits.argmax(dim=1), -1)

    def correct(self) -> Tensor:
        """How right each sample is, float64 [N]: 1 or 0; of several classes the fraction right."""
        right = (self.classes() == self.labels).double()
        return right.mean(dim=1) if self.is_multilabel else right

    def take(self, index_K: Tensor) -> "Predictions":
        """Those on the samples at these positions, in this order."""
        return replace(
            self,
            logits=self.logits[index_K],
            labels=self.labels[index_K],
            originals=self.originals[index_K],
            features=None if self.features is None else self.features[index_K],
        )


@dataclass(frozen=True, slots=True)
class Tally:
    """How many samples each network was run on; ensembles add nothing to it."""

    samples: Counter[str] = field(default_factory=Counter[str])

    def add(self, what: str, count: int) -> None:
        """Note that `what` was run on `count` more samples."""
        self.samples[what] += count


def predict(
    subject: nn.Module | Headed,
    data: Dataset,
    *,
    batch_size: int = BATCH,
    tally: Tally | None = None,
    called: str = "",
) -> Predictions:
    """Run a network over a split, each sample exactly once.

    On a CPU, batches go to as many threads as torch has, each with a copy of the modules that
    shares the weights; one batch is computed by one thread, so that their number changes no bit.

    Args:
        subject: a network; or one with a known head, whose features are then kept as well.
        data: the split.
        batch_size: samples of one forward pass.
        tally: where the samples run are noted.
        called: the network's name there.

    Raises:
        StockpotError: where any module is in training mode (dropout would add noise, and batch
            normalisation would look at the test batch), where the split is empty, or where the
            output does not have a logit for each class.
    """
    network = subject if isinstance(subject, nn.Module) else subject.network
    _refuse_training_mode(network)
    if not len(data):
        raise StockpotError(f"'{data.name}': the split holds no samples to run a network on.")
    starts = range(0, len(data), batch_size)
    device = device_of(network)
    threads = torch.get_num_threads() if device.type == "cpu" else 1
    lanes = [starts[lane::threads] for lane in range(min(threads, len(starts)))]

    @torch.no_grad()
    def run(mine: tuple[nn.Module | Headed, range]) -> list[tuple[Tensor, Tensor | None]]:
        module, lane = mine
        batches = (data.batch(slice(i, i + batch_size)).to(device) for i in lane)
        return [_outputs(module, inputs) for inputs in batches]

    system.here.keep_freed_blocks()
    subjects = [subject, *(_twin(subject) for _ in lanes[1:])]
    by_lane = in_order(run, list(zip(subjects, lanes, strict=True)), workers=len(lanes))
    outputs = [by_lane[i % len(lanes)][i // len(lanes)] for i in range(len(starts))]
    if tally:
        tally.add(called or type(network).__name__, len(data))
    features = [one for _, one in outputs if one is not None]
    return _checked(
        Predictions(
            logits=torch.cat([logits for logits, _ in outputs]),
            labels=data.labels,
            originals=data.originals,
            features=torch.cat(features) if features else None,
        ),
        network,
        data,
    )


@torch.no_grad()
def in_batches(module: Callable[[Tensor], Tensor], values: Tensor) -> Tensor:
    """Apply a module to rows in the batches that `predict` uses, so that the bits agree with it."""
    starts = range(0, len(values), BATCH)
    return torch.cat([module(values[i : i + BATCH]) for i in starts])


def device_of(network: nn.Module) -> torch.device:
    """Where the network's weights are."""
    return next((one.device for one in network.parameters()), torch.device("cpu"))


def _outputs(subject: nn.Module | Headed, inputs: Tensor) -> tuple[Tensor, Tensor | None]:
    """Logits, and features where the head is known."""
    if isinstance(subject, nn.Module):
        return _kept(subject(inputs)), None
    logits_BL, features_BF = subject.run(inputs)
    return _kept(logits_BL), _kept(features_BF)


def _twin(subject: nn.Module | Headed) -> nn.Module | Headed:
    """Modules of its own on the same weights: a forward pass may keep things on its modules."""
    network = subject if isinstance(subject, nn.Module) else subject.network
    weights: list[Tensor] = [*network.parameters(), *network.buffers()]
    twin = copy.deepcopy(network, {id(one): one for one in weights})
    return twin if isinstance(subject, nn.Module) else subject.on(twin)


def _kept(output: Tensor) -> Tensor:
    """On the CPU, and no narrower than float32."""
    return output.to("cpu", torch.promote_types(output.dtype, torch.float32))


def _refuse_training_mode(network: nn.Module) -> None:
    modules = cast(Iterable[tuple[str, nn.Module]], network.named_modules())
    training = [name or "the network" for name, module in modules if module.training]
    if training:
        raise StockpotError(
            f"{len(training)} modules of {type(network).__name__} are in training mode, "
            f"'{training[0]}' first: call .eval() before it is evaluated."
        )


def _checked(predictions: Predictions, network: nn.Module, data: Dataset) -> Predictions:
    want, got = (len(data), data.num_classes), tuple(predictions.logits.shape)
    if got != want:
        raise StockpotError(
            f"{type(network).__name__} gives {got} for '{data.name}'; its {len(data)} samples of "
            f"{data.num_classes} classes need {want}."
        )
    return predictions
