"""Consensus merging by TALL masks (Wang et al., Localizing task information, arXiv 2405.07813)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

from annotated_types import Ge

from ..asides import Where
from ..core import Method, Needs, Settled, Stack
from ..lazy import Tensor, torch
from ..ops.masks import localised
from ..ops.means import affine, overshoot
from ..values.fields import Finite, PerModel, per_model


@dataclass(frozen=True, slots=True)
class Consensus(Method):
    """Add up task vectors, and keep what matters to several tasks.

    τ = Σ_k w_k τ_k,   τ_k = θ_k - θ_0
    m_k = [|τ_k| ≥ ratio_k · |τ - τ_k|]            the TALL mask of a task
    θ = θ_0 + scale · [Σ_k m_k ≥ agree] τ          element by element

    A mask keeps an element of τ for a task where τ is nearer to its own change than to none. What
    no task lays claim to, or one task alone, is taken for noise.

    Attributes:
        agree: how many masks must agree; 0 is task arithmetic, more than there are models the
            base. The paper takes 2, which drops what is selfish and what is nobody's.
        ratio: λ of the masks; larger keeps less. One number or one per model; the paper chooses
            each among 0.2 to 0.6 on data.
        scale: λ on what is kept of the summed task vector.

    Needs: a base; weights as given, not divided by their sum.
    Cost: one pass; the rows of a block are asked for three times. The manifest counts what is kept.
    Deviations: an element at its threshold is kept (≥; the authors' code has >), and one that no
        model moves counts as not kept. Weights, which the paper does not have, are those of the
        sum: a mask compares with the task vector as it is.
    Example:
        >>> import torch, stockpot as sp
        >>> base = {"w": torch.zeros(3)}
        >>> a, b = torch.tensor([1.0, 2.0, 1.0]), torch.tensor([1.0, 0.0, -0.9])
        >>> sp.merge([{"w": a}, {"w": b}], Consensus(), base=base)
        {'w': tensor([2.0000, 0.0000, 0.1000])}

    Source: Wang et al., ICML 2024, arXiv 2405.07813.
    """

    agree: Annotated[int, Ge(0)] = 2
    ratio: PerModel[Annotated[float, Ge(0)]] = 0.4
    scale: Finite = 1.0

    @property
    def needs(self) -> Needs:
        """A base and one model or more."""
        return Needs(base=True, weights="sum")

    def __call__(self, stack: Stack, settled: Settled | None) -> Tensor:
        """Task arithmetic where the masks agree, the base elsewhere."""
        count = len(stack.models)
        total = torch.zeros_like(stack.anchor)
        for delta, weight in zip(stack.deltas(), stack.weights, strict=True):
            total.add_(delta.mul_(weight))
        votes = torch.zeros_like(total)
        for delta, ratio in zip(stack.deltas(), per_model(self.ratio, count), strict=True):
            votes.add_(localised(delta, total, ratio))
        keep = votes >= 2 * self.agree - count  # a vote is ±1
        stack.tell("kept", Where(keep.logical_and(total != 0)))
        added = affine(stack.models, [self.scale * w for w in stack.weights], stack.anchor)
        return torch.where(keep, added, stack.anchor)

    def advice(self, weights: tuple[float, ...]) -> Sequence[str]:
        """Warn where the sum overshoots every model."""
        return overshoot(self.scale, weights)
