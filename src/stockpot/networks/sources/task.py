"""What a network is opened for, and one try of whether it can do it.

Shapes: N samples, C channels, H x W pixels, T tokens, L classes.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ...errors import StockpotError


@dataclass(frozen=True, slots=True)
class Task:
    """The sizes that the data decide.

    Attributes:
        num_classes: how many logits.
        in_channels: channels of an image; 2 for text (ids and attention mask).
        image_size: pixels along a side; tokens for text.
    """

    num_classes: int
    in_channels: int
    image_size: int

    def image(self) -> Tensor:
        """One black image, [1, C, H, W]."""
        return torch.zeros(1, self.in_channels, self.image_size, self.image_size)

    def text(self) -> Tensor:
        """One text of ones, [1, 2, T]."""
        return torch.ones(1, 2, self.image_size, dtype=torch.int64)


def require_logits(network: nn.Module, sample: Tensor, task: Task, label: str) -> None:
    """Run one sample, so that what does not fit is said here and not deep in a training run.

    Raises:
        StockpotError: where the network fails on the sample, or gives no [1, num_classes].
    """
    shape = tuple(sample.shape)
    try:
        with torch.no_grad():
            logits: object = network(sample)
    except Exception as error:  # whatever a library raises for sizes that it cannot take
        raise StockpotError(
            f"{label} cannot take inputs of shape {shape}: {error} "
            "Resize the data, or choose a network for this size."
        ) from error
    got = tuple(logits.shape) if isinstance(logits, Tensor) else type(logits).__name__
    if got != (1, task.num_classes):
        raise StockpotError(
            f"{label}: expected logits of shape (1, {task.num_classes}) for one sample; got {got}."
        )
