"""Fitting a classifier: torch's optimisers and schedules, seeded, the same weights each time.

Shapes: N samples, B samples of a batch, L classes.
"""

import copy
import math
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Generic, Protocol, TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ...data import Dataset
from ...data.changes.augment import Augment
from ...errors import StockpotError
from ...experiments.fit import Fit
from ...networks import has_batch_norm, reestimate_batch_norm, save_state
from ...networks.reproducible import seeded
from ...values.result import Progress
from ..additions.adding import NOTHING, Additions
from ..additions.averaging import WeightAverage
from .devices import steady
from .optimisers import optimiser_of, schedule_of
from .saves import Save, State

Net = TypeVar("Net", bound=nn.Module)


class Lessons(Protocol):
    """What a network is fitted to, batch by batch."""

    @property
    def steps(self) -> int:
        """Batches of the whole fit."""
        ...

    def batches(self, epoch: int, order: torch.Generator, /) -> Iterable[Tensor]:
        """Positions of the samples of each batch of an epoch; `order` is what may be drawn from."""
        ...

    def loss(self, network: nn.Module, index_B: Tensor, device: torch.device) -> Tensor:
        """Of one batch."""
        ...


def fit(
    start: Net,
    data: Dataset,
    how: Fit,
    *,
    augment: Augment | None = None,
    targets: Tensor | None = None,
    device: str = "cpu",
    additions: Additions = NOTHING,
    save: Save | None = None,
    progress: Progress | None = None,
) -> Net:
    """Train a copy of `start` and give it back in evaluation mode, on the CPU.

    The loss is cross-entropy; where a sample may have several classes, the mean over classes of
    binary cross-entropy. `start` and torch's random state are left as they were. On one kind of CPU
    with the same number of torch threads the same arguments give the same weights to the last bit,
    whether or not the fit was broken off and resumed.

    Args:
        start: where it begins.
        data: what it is fitted to.
        how: optimiser, schedule, length and seed.
        augment: random changes to each batch of images.
        targets: probabilities [N, L] that are fitted to in place of the labels.
        device: where it computes, such as "cpu" or "cuda".
        additions: penalties, in-model merging and averages of the weights along the way.
        save: where each finished epoch is kept, and resumed from.
        progress: called after each epoch.

    Raises:
        StockpotError: where the data are empty or the loss stops being finite.
        OutputError: where `save` holds an epoch of another fit.
    """
    refuse_useless(data, augment)
    wanted = data.labels if targets is None else targets
    steps = how.epochs * batches_of(data, how.batch_size, has_batch_norm(start))
    lessons = _Lessons(data, wanted, how, augment, steps)
    return follow(
        start, lessons, how, device=device, additions=additions, save=save, progress=progress
    )


def distil(how: Fit, start: nn.Module, data: Dataset, targets_NL: Tensor, seed: int) -> nn.Module:
    """Fit a copy of `start` to an ensemble's own probabilities: the soup's rival at equal cost.

    Args:
        how: optimiser, schedule and length; its seed is replaced.
        start: the student's start, such as the best member; left as it is.
        data: the inputs; their labels are not looked at.
        targets_NL: probabilities, rows that sum to 1, or one for each of several classes.
        seed: of the order of the data.

    Source: Hinton et al., Distilling the knowledge in a neural network, arXiv 1503.02531.
    """
    return fit(start, data, replace(how, seed=seed), targets=targets_NL)


def follow(
    start: Net,
    lessons: Lessons,
    how: Fit,
    *,
    device: str = "cpu",
    additions: Additions = NOTHING,
    save: Save | None = None,
    progress: Progress | None = None,
) -> Net:
    """`fit` for any lessons."""
    with steady(device), seeded(how.seed):
        run = _Run(copy.deepcopy(start), lessons, how, torch.device(device), additions)
        done = run.resume(save.read()) if save else 0
        for epoch in range(done, how.epochs):
            run.learn(epoch)
            if save:
                save.write(run.state(epoch + 1))
            if progress:
                progress(f"epoch {epoch + 1} of {how.epochs}", (epoch + 1) / how.epochs)
        return run.finished()


class _Run(Generic[Net]):
    """A fit in progress: everything that the next epoch depends on."""

    def __init__(
        self,
        network: Net,
        lessons: Lessons,
        how: Fit,
        device: torch.device,
        additions: Additions,
    ) -> None:
        self.network = network.to(device).train()
        self._lessons, self._how, self._device, self._added = lessons, how, device, additions
        self._optimiser = optimiser_of(self.network.parameters(), how)
        self._schedule = schedule_of(self._optimiser, how, lessons.steps, additions.averaging)
        self._average = additions.averaging and WeightAverage(
            self.network, additions.averaging, steps=lessons.steps, epochs=how.epochs
        )
        self._step = 0
        self._order = torch.Generator().manual_seed(order_seed(how))

    def learn(self, epoch: int) -> None:
        """One pass over the data."""
        for index_B in self._lessons.batches(epoch, self._order):
            if self._added.merging:
                self._added.merging(self.network, self._step)
            loss = self._lessons.loss(self.network, index_B, self._device)
            for penalty in self._added.penalties:
                loss = loss + penalty(self.network)
            _refuse_divergence(loss, epoch, self._how)
            self._optimiser.zero_grad()
            loss.backward()  # pyright: ignore[reportUnknownMemberType]
            if self._how.clip:
                nn.utils.clip_grad_norm_(self.network.parameters(), self._how.clip)
            self._optimiser.step()
            self._schedule.step()
            self._step += 1
            if self._average:
                self._average.after_step(self._step)

    def finished(self) -> Net:
        """What came out, in evaluation mode, on the CPU; snapshots in their files."""
        if self._average:
            self._average.put_into(self.network)
            if has_batch_norm(self.network):
                self._reestimate()
            _keep(self._average.snapshots, self._added.snapshots)
        return self.network.cpu().eval()

    def _reestimate(self) -> None:
        """Batch-norm statistics of an average, on the data as they were trained on."""
        order = torch.Generator().manual_seed(order_seed(self._how))
        batches = self._lessons.batches(0, order)

        def step(index_B: Tensor) -> Tensor:
            return self._lessons.loss(self.network, index_B, self._device)

        reestimate_batch_norm(self.network, batches, forward=step)

    def state(self, done: int) -> State:
        """What the rest depends on, `done` epochs being behind."""
        on_gpu = self._device.type == "cuda"
        return State(
            done=done,
            network=self.network.state_dict(),
            optimiser=self._optimiser.state_dict(),
            schedule=self._schedule.state_dict(),
            order=self._order.get_state(),
            random=torch.get_rng_state(),
            random_gpu=torch.cuda.get_rng_state(self._device) if on_gpu else None,
            step=self._step,
            average=self._average.state_dict() if self._average else None,
        )

    def resume(self, state: State | None) -> int:
        """Go on from a state; returns how many epochs are behind."""
        if state is None:
            return 0
        self.network.load_state_dict(state.network)
        self._optimiser.load_state_dict(state.optimiser)
        self._schedule.load_state_dict(state.schedule)
        self._order.set_state(state.order)
        torch.set_rng_state(state.random)
        if state.random_gpu is not None:
            torch.cuda.set_rng_state(state.random_gpu, self._device)
        self._step = state.step
        if self._average and state.average:
            self._average.load_state_dict(state.average)
        return state.done


def _keep(snapshots: Sequence[Mapping[str, Tensor]], folder: Path | None) -> None:
    """One file each, numbered from 1."""
    if folder is None or not snapshots:
        return
    folder.mkdir(parents=True, exist_ok=True)
    for number, one in enumerate(snapshots, 1):
        save_state(one, folder / f"{number:03d}.safetensors", {})


@dataclass(frozen=True, slots=True, eq=False)
class _Lessons:
    """One data set, all of it in each epoch, in an order that is drawn each time."""

    data: Dataset
    targets: Tensor
    how: Fit
    augment: Augment | None
    steps: int

    def batches(self, _epoch: int, order: torch.Generator, /) -> Iterable[Tensor]:
        """All samples in an order that is drawn now."""
        order_N = torch.randperm(len(self.data), generator=order)
        size = self.how.batch_size
        return (order_N[at * size : (at + 1) * size] for at in range(self.steps // self.how.epochs))

    def loss(self, network: nn.Module, index_B: Tensor, device: torch.device) -> Tensor:
        """Against the targets."""
        inputs = inputs_of(self.data, index_B, self.augment, device)
        targets = self.targets[index_B].to(device)
        with precision(self.how, device):
            logits_BL = network(inputs)
        several = self.data.is_multilabel
        return loss_of(logits_BL.float(), targets, self.how.label_smoothing, several=several)


def inputs_of(
    data: Dataset, index_B: Tensor, augment: Augment | None, device: torch.device
) -> Tensor:
    """A batch on its device, changed at random where that is asked for."""
    inputs = data.batch(index_B).to(device)
    return augment(inputs) if augment else inputs


def precision(how: Fit, device: torch.device) -> AbstractContextManager[object]:
    """In which a forward pass computes as `how` says."""
    wanted = how.precision == "bfloat16"
    mixed = wanted or (how.precision == "auto" and device.type == "cuda")
    return torch.autocast(device.type, torch.bfloat16, enabled=mixed)


def order_seed(how: Fit) -> int:
    """Of the order of the data."""
    return how.seed if how.order == -1 else how.order


def loss_of(
    logits_BL: Tensor, targets: Tensor, smoothing: float = 0.0, *, several: bool = False
) -> Tensor:
    """Cross-entropy; where a sample may have several classes, their mean binary cross-entropy.

    Targets are labels, int64 [B] or bool [B, L], or probabilities float32 [B, L].

    Smoothing by s makes the target of a right class 1 - s + s/L and of a wrong one s/L; of several
    classes, where each is a yes or no, 1 - s/2 and s/2.
    """
    if not several:
        return F.cross_entropy(logits_BL, targets, label_smoothing=smoothing)
    target_BL = targets.float() * (1 - smoothing) + smoothing / 2
    return F.binary_cross_entropy_with_logits(logits_BL, target_BL)


def batches_of(data: Dataset, size: int, has_statistics: bool) -> int:
    """Batches of an epoch; without a last one of a single sample, where it has no statistics."""
    count = math.ceil(len(data) / size)
    if not has_statistics:
        return count
    if min(len(data), size) == 1:
        raise StockpotError(
            f"batch normalisation learns nothing from batches of one sample: '{data.name}' holds "
            f"{len(data)}, batch_size is {size}."
        )
    return count - (len(data) % size == 1)


def refuse_useless(data: Dataset, augment: Augment | None) -> None:
    """Refuse data without a sample, and text that is to be changed as images are."""
    if not len(data):
        raise StockpotError(f"'{data.name}' holds no samples to fit to.")
    if augment and data.inputs.ndim != 4:
        raise StockpotError(f"augment changes images; '{data.name}' is text: leave it out.")


def _refuse_divergence(loss: Tensor, epoch: int, how: Fit) -> None:
    if not bool(loss.isfinite()):
        raise StockpotError(
            f"The loss became {loss.item()} in epoch {epoch + 1} of {how.epochs}: lower lr "
            f"(now {how.lr:g})."
        )
