"""Fitting a classifier: torch's optimisers and schedules, seeded, the same weights each time.

Shapes: N samples, B samples of a batch, C channels, H x W pixels.
"""

import copy
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Literal, TypeVar

import torch
import torch.nn.functional as F
from annotated_types import Ge, Gt
from torch import Tensor, nn
from torch.optim.lr_scheduler import CosineAnnealingLR

from ..data import Dataset
from ..errors import StockpotError
from ..fields import check_fields
from ..networks.reproducible import seeded

Net = TypeVar("Net", bound=nn.Module)
Progress = Callable[[float], None]
"""Called with the fraction done, in (0, 1]."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fit:
    """How a network is fitted.

    Attributes:
        epochs: passes over the data, each in its own seeded order.
        lr: learning rate at the start.
        batch_size: samples a step; the last batch of an epoch may be smaller.
        optimiser: AdamW, or SGD with Nesterov momentum 0.9.
        schedule: the learning rate falls along half a cosine to 0, step by step, or stays.
        weight_decay: decoupled for adamw, an L2 penalty for sgd.
        seed: order of the data, and dropout where there is any.
    """

    epochs: Annotated[int, Ge(1)] = 8
    lr: Annotated[float, Gt(0)] = 1e-3
    batch_size: Annotated[int, Ge(1)] = 64
    optimiser: Literal["adamw", "sgd"] = "adamw"
    schedule: Literal["cosine", "constant"] = "cosine"
    weight_decay: Annotated[float, Ge(0)] = 0.01
    seed: int = 0

    def __post_init__(self) -> None:
        check_fields(self)


def fit(start: Net, data: Dataset, how: Fit, *, progress: Progress | None = None) -> Net:
    """Train a copy of `start` by cross-entropy and give it back in evaluation mode.

    `start` and torch's random state are left as they were. On one kind of CPU with the same number
    of torch threads the same arguments give the same weights to the last bit.

    Raises:
        StockpotError: where the data are empty or the loss stops being finite.
    """
    if not len(data):
        raise StockpotError(f"'{data.name}' holds no samples to fit to.")
    network = copy.deepcopy(start).train()
    optimiser = _optimiser(network, how)
    generator = torch.Generator().manual_seed(how.seed)
    batches = math.ceil(len(data) / how.batch_size)
    falling = CosineAnnealingLR(optimiser, how.epochs * batches)
    with seeded(how.seed):
        for epoch in range(how.epochs):
            order_N = torch.randperm(len(data), generator=generator)
            for first in range(0, len(data), how.batch_size):
                index_B = order_N[first : first + how.batch_size]
                loss = F.cross_entropy(network(data.batch(index_B)), data.labels[index_B])
                _refuse_divergence(loss, epoch, how)
                optimiser.zero_grad()
                loss.backward()  # pyright: ignore[reportUnknownMemberType]
                optimiser.step()
                if how.schedule == "cosine":
                    falling.step()
            if progress:
                progress((epoch + 1) / how.epochs)
    return network.eval()


def _optimiser(network: nn.Module, how: Fit) -> torch.optim.Optimizer:
    if how.optimiser == "adamw":
        return torch.optim.AdamW(network.parameters(), lr=how.lr, weight_decay=how.weight_decay)
    return torch.optim.SGD(
        network.parameters(),
        lr=how.lr,
        weight_decay=how.weight_decay,
        momentum=0.9,
        nesterov=True,
    )


def _refuse_divergence(loss: Tensor, epoch: int, how: Fit) -> None:
    if not bool(loss.isfinite()):
        raise StockpotError(
            f"The loss became {loss.item()} in epoch {epoch + 1} of {how.epochs}: lower lr "
            f"(now {how.lr:g})."
        )
