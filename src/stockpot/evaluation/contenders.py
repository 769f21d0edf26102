"""What is compared: networks, merges, ensembles, each with how right it is on every sample.

Shapes: N samples.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from ..errors import StockpotError
from .ensembles import logits_ensemble
from .intervals import Difference, paired_difference
from .predictions import Predictions

Kind = Literal["single", "merge", "ensemble", "control"]
"""For grouping and colour; a control is there to compare with."""


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Contender:
    """One thing compared.

    Attributes:
        method: its name in the table; a colon parts a method from what it was applied to.
        kind: what it is.
        n: how many networks it draws on.
        correct: float64 [N], how right it is on each sample, in [0, 1].
        originals: int64 [N]; samples with the same number are views of one original.
        forwards: network evaluations that one sample costs.
    """

    method: str
    kind: Kind
    n: int
    correct: Tensor
    originals: Tensor
    forwards: int

    def minus(self, other: "Contender") -> Difference:
        """How far this one is above another on the same samples.

        Raises:
            StockpotError: where the samples are not the same.
        """
        if not torch.equal(self.originals, other.originals):
            raise StockpotError(f"{self.method} and {other.method} have seen different samples.")
        interval = paired_difference(self.correct, other.correct, self.originals)
        return Difference(self.method, other.method, interval)


def contender(method: str, kind: Kind, predictions: Predictions, *, n: int) -> Contender:
    """A network or an ensemble, by its predictions."""
    return Contender(
        method=method,
        kind=kind,
        n=n,
        correct=predictions.correct(),
        originals=predictions.originals,
        forwards=predictions.forwards,
    )


def mean_contender(method: str, kind: Kind, members: Sequence[Predictions]) -> Contender:
    """What one of the members, drawn at random, gets right on average; it costs one evaluation."""
    return Contender(
        method=method,
        kind=kind,
        n=len(members),
        correct=torch.stack([member.correct() for member in members]).mean(dim=0),
        originals=members[0].originals,
        forwards=1,
    )


def pool(members: Mapping[str, Predictions], scores: Sequence[float]) -> list[Contender]:
    """What can be had of a pool of ingredients without merging any of them.

    Each single, single-mean (what one drawn at random gets right), single-best (the one with the
    highest of `scores`, which come from the selection split), and the ensemble of all their logits.
    """
    seen, count = list(members.values()), len(members)
    return [
        *(contender(f"single:{name}", "single", one, n=1) for name, one in members.items()),
        mean_contender("single-mean", "single", seen),
        contender("single-best", "single", seen[scores.index(max(scores))], n=count),
        contender("logits-ensemble", "ensemble", logits_ensemble(seen), n=count),
    ]
