"""torch's optimisers and schedules, as a `Fit` names them."""

from collections.abc import Iterable

from torch import nn
from torch.optim import SGD, Adam, AdamW, Optimizer
from torch.optim.lr_scheduler import (
    ConstantLR,
    CosineAnnealingLR,
    LinearLR,
    LRScheduler,
    MultiStepLR,
    OneCycleLR,
    SequentialLR,
)

from ..fields import PerModel
from .how import Fit


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


def schedule_of(optimiser: Optimizer, how: Fit, steps: int) -> LRScheduler:
    """The schedule over `steps` steps of the optimiser, warm-up included."""
    warm = int(how.warmup * steps)  # fewer than `steps`
    if not warm:
        return _main(optimiser, how, steps, 0)
    # The first step is taken at lr / (warm + 1), not at 0, and the first after warm-up at lr.
    rising = LinearLR(optimiser, start_factor=1 / (warm + 1), total_iters=warm)
    return SequentialLR(optimiser, [rising, _main(optimiser, how, steps, warm)], [warm])


def _main(optimiser: Optimizer, how: Fit, steps: int, warm: int) -> LRScheduler:
    match how.schedule:
        case "constant":
            return ConstantLR(optimiser, factor=1.0, total_iters=0)
        case "cosine":
            return CosineAnnealingLR(optimiser, steps - warm)
        case "step":
            falls = [max(1, round(part * steps) - warm) for part in _tuple(how.milestones)]
            return MultiStepLR(optimiser, falls, how.gamma)
        case "one-cycle":
            return OneCycleLR(optimiser, how.lr, total_steps=steps, cycle_momentum=False)


def _tuple(milestones: PerModel[float]) -> tuple[float, ...]:
    return milestones if isinstance(milestones, tuple) else (milestones,)
