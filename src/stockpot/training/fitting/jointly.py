"""One body fitted to several tasks at once, in as many steps as fits of each by itself would take.

Shapes: N samples, B samples of a batch, L classes.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ...data import Dataset
from ...data.changes.augment import Augment
from ...experiments.fit import Fit
from ...networks import MultiTask, has_batch_norm
from ...networks.reproducible import derived
from ...values.result import Progress
from ..additions.adding import NOTHING, Additions
from .loop import (
    batches_of,
    follow,
    inputs_of,
    loss_of,
    order_seed,
    precision,
    refuse_useless,
)
from .saves import Save


def fit_jointly(
    start: MultiTask,
    data: Mapping[str, Dataset],
    how: Fit,
    passes: Mapping[str, int],
    *,
    augment: Augment | None = None,
    device: str = "cpu",
    additions: Additions = NOTHING,
    save: Save | None = None,
    progress: Progress | None = None,
) -> MultiTask:
    """Train a copy of `start` on all tasks and give it back in evaluation mode, on the CPU.

    Batches hold samples of all tasks, shuffled together, and the loss is the mean over samples. A
    sample of task t is seen passes[t] times, and there are Σ_t passes[t] ⌈N_t / B⌉ steps of nearly
    equal size: what the tasks' own fits see and take. Each epoch has its share of both. Otherwise
    as `fit`.

    Args:
        start: where it begins.
        data: of each task.
        how: optimiser, schedule and seed; its epochs are when saves are made.
        passes: over the data of each task; `how.epochs` is the largest of them.
        augment: random changes to each batch of images.
        device: where it computes.
        additions: as of `fit`.
        save: where each finished epoch is kept, and resumed from.
        progress: called after each epoch.

    Raises:
        StockpotError: as `fit`.
    """
    for one in data.values():
        refuse_useless(one, augment)
    mended = has_batch_norm(start)
    steps = sum(passes[task] * batches_of(data[task], how.batch_size, mended) for task in data)
    lessons = _Lessons(data, how, passes, augment, steps)
    return follow(
        start, lessons, how, device=device, additions=additions, save=save, progress=progress
    )


@dataclass(frozen=True, slots=True, eq=False)
class _Lessons:
    """The samples of all tasks, numbered task after task."""

    data: Mapping[str, Dataset]
    how: Fit
    passes: Mapping[str, int]
    augment: Augment | None
    steps: int

    def batches(self, epoch: int, _order: torch.Generator, /) -> Iterable[Tensor]:
        """An epoch's share of every task's samples, mixed.

        Each pass over a task has an order of its own, whose seed is of the pass and not of what was
        drawn before, because an epoch may end in the middle of one.
        """
        begin, end = (self.steps * at // self.how.epochs for at in (epoch, epoch + 1))
        index_N = torch.cat(list(self._shares(begin, end)))
        mixer = torch.Generator().manual_seed(derived(order_seed(self.how), "mix", epoch))
        mixed_N = index_N[torch.randperm(len(index_N), generator=mixer)]
        return (one for one in mixed_N.tensor_split(end - begin) if len(one))

    def _shares(self, begin: int, end: int) -> Iterator[Tensor]:
        """What some of the steps see, task by task."""
        offset = 0
        for task, data in self.data.items():
            count, whole = len(data), len(data) * self.passes[task]
            first, last = (whole * at // self.steps for at in (begin, end))
            for number in range(first // count, -(-last // count)):
                seed = derived(order_seed(self.how), "pass", task, number)
                order_N = torch.randperm(count, generator=torch.Generator().manual_seed(seed))
                before = number * count
                yield offset + order_N[max(first - before, 0) : last - before]
            offset += count

    def loss(self, network: nn.Module, index_B: Tensor, device: torch.device) -> Tensor:
        """Mean over the samples, each by its own task's head."""
        inputs, labels, offset = dict[str, Tensor](), dict[str, Tensor](), 0
        for task, data in self.data.items():
            mine_B = index_B[(index_B >= offset) & (index_B < offset + len(data))] - offset
            offset += len(data)
            if len(mine_B):
                inputs[task] = inputs_of(data, mine_B, self.augment, device)
                labels[task] = data.labels[mine_B].to(device)
        with precision(self.how, device):
            logits: dict[str, Tensor] = network(inputs)
        losses = [
            len(labels[task])
            * loss_of(
                logits_BL.float(),
                labels[task],
                self.how.label_smoothing,
                several=self.data[task].is_multilabel,
            )
            for task, logits_BL in logits.items()
        ]
        return torch.stack(losses).sum() / len(index_B)
