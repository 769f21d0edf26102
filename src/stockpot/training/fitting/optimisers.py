"""torch's optimisers and schedules, as a `Fit` names them."""

from collections.abc import Iterable

from torch import nn
from torch.optim import SGD, Adam, AdamW, Optimizer
from torch.optim.lr_scheduler import (
    ConstantLR,
    CosineAnnealingLR,
    CyclicLR,
    LinearLR,
    LRScheduler,
    MultiStepLR,
    OneCycleLR,
    SequentialLR,
)
from torch.optim.swa_utils import SWALR

from ...errors import StockpotError
from ...experiments.fit import Fit
from ..additions.averaging import Averaging, Fge, Swa, fge_cycles


def optimiser_of(parameters: Iterable[nn.Parameter], how: Fit) -> Optimizer:
    """The optimiser, over all parameters alike: biases and norms decay too."""
    match how.optimiser:
        case "adamw":
            return AdamW(parameters, lr=how.lr, weight_decay=how.weight_decay)
        case "adam":
            return Adam(parameters, lr=how.lr, weight_decay=how.weight_decay)
        case "sgd":
            return SGD(
                parameters,
                lr=how.lr,
                weight_decay=how.weight_decay,
                momentum=how.momentum,
                nesterov=how.momentum > 0,
            )


def schedule_of(
    optimiser: Optimizer, how: Fit, steps: int, averaging: Averaging | None = None
) -> LRScheduler:
    """The schedule over `steps` steps of the optimiser, warm-up included.

    Averages that have a learning rate of their own take over where they start.
    """
    warm = int(how.warmup * steps)  # fewer than `steps`
    parts, milestones = list[LRScheduler](), list[int]()
    if warm:
        # The first step is taken at lr / (warm + 1), not at 0, and the first after warm-up at lr.
        parts.append(LinearLR(optimiser, start_factor=1 / (warm + 1), total_iters=warm))
        milestones.append(warm)
    parts.append(_main(optimiser, how, steps, warm))
    if isinstance(averaging, Fge) or (isinstance(averaging, Swa) and averaging.lr):
        begin = round(averaging.start * steps)
        if begin <= warm:
            raise StockpotError(f"{averaging} starts before the warm-up of {warm} steps is over.")
        parts.append(_late(optimiser, how, steps, averaging))
        milestones.append(begin)
    return SequentialLR(optimiser, parts, milestones) if milestones else parts[0]


def _late(optimiser: Optimizer, how: Fit, steps: int, averaging: Swa | Fge) -> LRScheduler:
    if isinstance(averaging, Swa):
        return SWALR(optimiser, averaging.lr, anneal_epochs=max(1, steps // how.epochs))
    half = fge_cycles(averaging, steps, how.epochs)[1] // 2
    # From its base, the largest rate, to its other end, the lowest, and back.
    return CyclicLR(optimiser, how.lr, averaging.lr or how.lr / 100, half, cycle_momentum=False)


def _main(optimiser: Optimizer, how: Fit, steps: int, warm: int) -> LRScheduler:
    match how.schedule:
        case "constant":
            return ConstantLR(optimiser, factor=1.0, total_iters=0)
        case "cosine":
            return CosineAnnealingLR(optimiser, steps - warm)
        case "step":
            falls = [max(1, round(part * steps) - warm) for part in how.milestones]
            return MultiStepLR(optimiser, falls, how.gamma)
        case "one-cycle":
            return OneCycleLR(optimiser, how.lr, total_steps=steps, cycle_momentum=False)
