"""What a few batches told: losses of the models and of their mean, and the angles of gradients."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Scored:
    """One network on the batches.

    Attributes:
        name: which.
        loss: mean cross-entropy, nats.
        accuracy: share of samples that are right.
        gradient: |∇L|.
    """

    name: str
    loss: float
    accuracy: float
    gradient: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Gradients:
    """What `batches.gradients_of` found.

    Attributes:
        network, data: what was given, as on a command line.
        samples, split: how many, and of which part of the data.
        models: of each.
        mean: of the plain average of all, statistics of batch norm estimated again.
        cosines: [K, K] of the models' gradients; NaN where one is 0.
        barrier: loss of the mean less the mean of the models' losses; an average that is worth
            making has one near 0 or below.
        slopes: of each model, <∇L(mean), θ_k - mean>: what the loss would change by on the way
            to it, to first order. All positive: the mean lies in a valley between the models.
    """

    network: str
    data: str
    samples: int
    split: str
    models: tuple[Scored, ...]
    mean: Scored
    cosines: tuple[tuple[float, ...], ...]
    barrier: float
    slopes: tuple[float, ...]
