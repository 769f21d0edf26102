"""What a network says about each sample of a split, computed once and kept.

Shapes: N samples, L classes, B samples of a batch.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn

from ..data import Dataset
from ..errors import StockpotError


@dataclass(frozen=True, slots=True, eq=False)
class Predictions:
    """Logits beside the labels they are judged by; scores and ensembles need no further forward.

    Attributes:
        logits: float32 [N, L].
        labels: int64 [N].
        originals: int64 [N]; samples with the same number are views of one original.
        forwards: network evaluations that each sample cost.
    """

    logits: Tensor
    labels: Tensor
    originals: Tensor
    forwards: int = 1

    def classes(self) -> Tensor:
        """The largest logit's class, int64 [N]; -1, no class, where any logit is not finite."""
        finite_N = self.logits.isfinite().all(dim=1)
        return torch.where(finite_N, self.logits.argmax(dim=1), -1)

    def correct(self) -> Tensor:
        """1 where the class is the label and 0 elsewhere, float64 [N]."""
        return (self.classes() == self.labels).double()


@torch.no_grad()
def predict(network: nn.Module, data: Dataset, *, batch_size: int = 512) -> Predictions:
    """Run a network over a split, each sample once.

    Raises:
        StockpotError: where any module is in training mode: dropout would add noise, and batch
            normalisation would look at the test batch.
    """
    modules = cast(Iterable[tuple[str, nn.Module]], network.named_modules())
    training = [name or "the network" for name, module in modules if module.training]
    if training:
        raise StockpotError(
            f"{len(training)} modules of {type(network).__name__} are in training mode, "
            f"'{training[0]}' first: call .eval() before it is evaluated."
        )
    starts = range(0, len(data), batch_size)
    logits_NL = torch.cat([network(data.batch(slice(i, i + batch_size))) for i in starts])
    return Predictions(logits_NL, data.labels, data.originals)
