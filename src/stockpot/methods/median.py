"""Element-wise median, a robust average (Yin et al., arXiv 1803.01498)."""

from dataclasses import dataclass

from ..core import Method, Needs, Settled, Stack
from ..lazy import Tensor
from ..ops import means


@dataclass(frozen=True, slots=True)
class Median(Method):
    """Element-wise median of the models; for an even number the mean of the middle two.

    θ = median_k θ_k

    One model that is far off, or poisoned, moves it little; with two models it is the average.

    Needs: one model or more; no weights, no base.
    Cost: one pass; all K rows of a block at once, K (K - 1) / 2 exchanges.
    Example:
        >>> import torch, stockpot as sp
        >>> models = [{"w": torch.tensor([x])} for x in (1.0, 2.0, 100.0)]
        >>> sp.merge(models, Median())
        {'w': tensor([2.])}

    Source: Yin et al., Byzantine-robust distributed learning, ICML 2018, arXiv 1803.01498.
    """

    @property
    def needs(self) -> Needs:
        """One model or more, unweighted."""
        return Needs(weights="unused")

    def __call__(self, stack: Stack, settled: Settled | None) -> Tensor:
        """The middle value of each element."""
        return means.median(stack.models)
