"""Weighted average, the uniform soup (Wortsman et al., Model soups, arXiv 2203.05482)."""

from dataclasses import dataclass

from ..core import Method, Needs, Settled, Stack
from ..lazy import Tensor
from ..ops.means import affine


@dataclass(frozen=True, slots=True)
class Average(Method):
    """Weighted average of the models; with equal weights the uniform soup.

    θ = Σ_k w_k θ_k / Σ_k w_k

    Works where the models share an origin: fine-tunes of one base, or checkpoints of one run.
    Networks trained from different starts must be aligned first, or the average is a bad network.

    Needs: one model or more; no base.
    Cost: one pass, one row of each model at a time.
    Deviations: summed as differences from the heaviest model, so that copies of one model give
        it back to the last bit; the plain sum does not.
    Example:
        >>> import torch, stockpot as sp
        >>> sp.merge([{"w": torch.tensor([0.0, 2.0])}, {"w": torch.tensor([2.0, 2.0])}], Average())
        {'w': tensor([1., 2.])}

    Source: Wortsman et al., Model soups, ICML 2022, arXiv 2203.05482.
    """

    @property
    def needs(self) -> Needs:
        """One model or more."""
        return Needs()

    def __call__(self, stack: Stack, settled: Settled | None) -> Tensor:
        """Σ_k w_k θ_k with weights that sum to 1."""
        return affine(stack.models, stack.weights)
