"""The diagonal Fisher information of a classifier on its data, which Fisher merging weighs by.

Shapes: N samples, B of a batch, L classes.
"""

from collections.abc import Callable, Mapping
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ...data import Dataset
from ...errors import StockpotError
from ...networks.network import require_evaluation_mode
from ...networks.reproducible import seeded
from ...running.executor import one_thread

_ROOM = 2**24
"""Numbers that the gradients of a batch may take; a batch has one sample at least."""


def fisher(
    network: nn.Module, data: Dataset, *, examples: int = 256, seed: int = 0
) -> dict[str, Tensor]:
    """The diagonal Fisher information of each parameter, float32; the network is left as it is.

        F = 1/N Σ_x Σ_y p(y|x) (∂ log p(y|x) / ∂θ)²

    The labels are the network's own, all of them by their probabilities, so that those of the data
    are not looked at; gradients are of single samples, because the square of a batch's gradient is
    another number. Where a sample may have several classes, they are so many independent yes or no.

    Args:
        network: a classifier in evaluation mode.
        data: what it was fitted to.
        examples: N, drawn without replacement; all, where there are fewer.
        seed: of the draw.

    Cost: N L forward and backward passes of one sample, vectorised.

    Raises:
        StockpotError: the network is in training mode, there are no samples, or torch cannot
            vectorise the network.
    """
    require_evaluation_mode(network, "Fisher information")
    if not len(data):
        raise StockpotError(f"'{data.name}' is empty: there is no Fisher information without data.")
    parameters = {n: one.detach() for n, one in network.named_parameters()}
    buffers = dict(network.named_buffers())

    def logits(at: Mapping[str, Tensor], sample: Tensor) -> Tensor:
        given = (dict(at), buffers)
        found = cast(Any, torch.func).functional_call(network, given, (sample[None],))
        return cast(Tensor, found)[0]

    drawn = torch.Generator().manual_seed(seed)
    chosen = torch.randperm(len(data), generator=drawn)[:examples].sort().values
    step = max(1, _ROOM // max(1, sum(one.numel() for one in parameters.values())))
    total = {n: torch.zeros(one.shape, dtype=torch.float64) for n, one in parameters.items()}
    with one_thread(), seeded(seed):
        for start in range(0, len(chosen), step):
            batch = data.batch(chosen[start : start + step])
            try:
                _add(total, logits, parameters, batch, several=data.is_multilabel)
            except RuntimeError as error:
                raise StockpotError(
                    f"gradients of single samples cannot be had of {type(network).__name__}: "
                    f"{str(error).splitlines()[0][:200]}"
                ) from error
    return {n: (one / len(chosen)).float() for n, one in total.items()}


def _add(
    total: Mapping[str, Tensor],
    logits: Callable[[Mapping[str, Tensor], Tensor], Tensor],
    parameters: Mapping[str, Tensor],
    inputs_B: Tensor,
    *,
    several: bool,
) -> None:
    """Add the weighted squares of the gradients of a batch's samples, class by class."""
    func = cast(Any, torch.func)
    with torch.no_grad():
        logits_BL = cast(Tensor, func.vmap(logits, in_dims=(None, 0))(parameters, inputs_B))
    probable_BL = logits_BL.sigmoid() if several else logits_BL.softmax(-1)
    weight_BL = probable_BL * (1 - probable_BL) if several else probable_BL

    def score(at: Mapping[str, Tensor], sample: Tensor, label: int) -> Tensor:
        found_L = logits(at, sample)
        return (found_L if several else F.log_softmax(found_L, -1))[label]

    for label in range(logits_BL.shape[1]):
        each = func.vmap(func.grad(score), in_dims=(None, 0, None))(parameters, inputs_B, label)
        for name, gradient in each.items():
            squared = cast(Tensor, gradient).double().square_()
            weight_B = weight_BL[:, label].double().reshape(-1, *[1] * (squared.ndim - 1))
            total[name].add_((squared * weight_B).sum(0))
