"""How a network is fitted: a frozen value that prints, compares and goes into a file."""

from dataclasses import dataclass
from typing import Annotated, Literal

from annotated_types import Ge, Gt, Lt

from ..errors import FieldError
from ..values.fields import PerModel, check_fields


@dataclass(frozen=True, slots=True, kw_only=True)
class Fit:
    """How a network is fitted.

    Attributes:
        epochs: passes over the data, each in its own seeded order.
        lr: the largest learning rate.
        batch_size: samples a step; the last batch of an epoch may be smaller. One of a single
            sample is left out where the network has batch normalisation, which learns nothing
            from it.
        optimiser: AdamW, Adam, or SGD with Nesterov momentum.
        schedule: from lr, step by step: along half a cosine to 0; constant; times `gamma` at each
            of `milestones`; or one cycle (up for 30% of the steps, then down to nearly 0).
        weight_decay: decoupled for adamw, an L2 penalty for adam and sgd.
        seed: of dropout, augmentation, and the order of the data.
        order: a seed for the order of the data alone; -1 for the same as `seed`.
        momentum: of sgd.
        warmup: fraction of the steps during which the learning rate rises linearly to lr.
        milestones: of the step schedule, as fractions of all steps; epoch 20 of 40 is 0.5.
        gamma: what the step schedule multiplies by.
        label_smoothing: share of each label that is spread over all classes.
        clip: largest norm of a step's gradient, all parameters together; 0 does not clip.
        precision: of the forward pass; auto is bfloat16 on a GPU and float32 on a CPU. Weights,
            gradients and the loss are float32.
    """

    epochs: Annotated[int, Ge(1)] = 8
    lr: Annotated[float, Gt(0)] = 1e-3
    batch_size: Annotated[int, Ge(1)] = 64
    optimiser: Literal["adamw", "adam", "sgd"] = "adamw"
    schedule: Literal["cosine", "constant", "step", "one-cycle"] = "cosine"
    weight_decay: Annotated[float, Ge(0)] = 0.01
    seed: int = 0
    order: Annotated[int, Ge(-1)] = -1
    momentum: Annotated[float, Ge(0), Lt(1)] = 0.9
    warmup: Annotated[float, Ge(0), Lt(1)] = 0.0
    milestones: PerModel[Annotated[float, Gt(0), Lt(1)]] = (0.5, 0.75)
    gamma: Annotated[float, Gt(0), Lt(1)] = 0.1
    label_smoothing: Annotated[float, Ge(0), Lt(1)] = 0.0
    clip: Annotated[float, Ge(0)] = 0.0
    precision: Literal["auto", "float32", "bfloat16"] = "auto"

    def __post_init__(self) -> None:
        check_fields(self)
        if self.schedule == "one-cycle" and self.warmup:
            raise FieldError("fit: one-cycle rises by itself; leave warmup at 0.")
