"""How a network is fitted: a frozen value that prints, compares and goes into a file."""

from dataclasses import dataclass, fields
from typing import Annotated, Literal

from annotated_types import Ge

from ..errors import FieldError
from ..values.bounds import Below1, Count, NotNegative, Part, Positive
from ..values.section import Section

Optimiser = Literal["adamw", "adam", "sgd"]
Schedule = Literal["cosine", "constant", "step", "one-cycle"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Regimen(Section):
    """How networks are fitted, whatever their seeds.

    Attributes:
        epochs: passes over the data, each in its own seeded order.
        lr: the largest learning rate.
        batch_size: samples a step; the last batch of an epoch may be smaller. One of a single
            sample is left out where the network has batch normalisation, which learns nothing
            from it.
        optimiser: AdamW, Adam, or SGD with Nesterov momentum.
        momentum: of sgd.
        weight_decay: decoupled for adamw, an L2 penalty for adam and sgd.
        schedule: from lr, step by step: along half a cosine to 0; constant; times `gamma` at each
            of `milestones`; or one cycle (up for 30% of the steps, then down to nearly 0).
        warmup: fraction of the steps during which the learning rate rises linearly to lr.
        milestones: of the step schedule, as fractions of all steps; epoch 20 of 40 is 0.5.
        gamma: what the step schedule multiplies by.
        label_smoothing: share of each label that is spread over all classes.
        clip: largest norm of a step's gradient, all parameters together; 0 does not clip.
        precision: of the forward pass; auto is bfloat16 on a GPU and float32 on a CPU. Weights,
            gradients and the loss are float32.
    """

    epochs: Count = 3
    lr: Positive = 1e-3
    batch_size: Count = 64
    optimiser: Optimiser = "adamw"
    momentum: Below1 = 0.9
    weight_decay: NotNegative = 0.01
    schedule: Schedule = "cosine"
    warmup: Below1 = 0.0
    milestones: tuple[Part, ...] = (0.5, 0.75)
    gamma: Part = 0.1
    label_smoothing: Below1 = 0.0
    clip: NotNegative = 0.0
    precision: Literal["auto", "float32", "bfloat16"] = "auto"

    def check(self) -> None:
        """Refuse what does not go together."""
        if not self.milestones or list(self.milestones) != sorted(set(self.milestones)):
            raise FieldError("milestones must rise, and there must be at least one.")
        if self.schedule == "one-cycle" and self.warmup:
            raise FieldError("warmup: one-cycle rises by itself; leave warmup out.")

    def seeded(self, seed: int, order: int = -1) -> "Fit":
        """A fit of this regimen."""
        own = {one.name: getattr(self, one.name) for one in fields(Regimen)}
        return Fit(**own, seed=seed, order=order)


@dataclass(frozen=True, slots=True, kw_only=True)
class Fit(Regimen):
    """How one network is fitted.

    Attributes:
        seed: of dropout, augmentation, and the order of the data.
        order: a seed for the order of the data alone; -1 for the same as `seed`.
    """

    epochs: Count = 8
    seed: int = 0
    order: Annotated[int, Ge(-1)] = -1
