"""Element-wise trimmed mean, a robust average (Yin et al., arXiv 1803.01498)."""

from dataclasses import dataclass
from typing import Annotated

from annotated_types import Ge, Lt

from ..core import Method, Needs, Settled, Stack
from ..lazy import Tensor
from ..ops import means


@dataclass(frozen=True, slots=True)
class TrimmedMean(Method):
    """Element-wise mean of the models without the smallest and the largest values.

    θ = mean of the K - 2c middle values of {θ_k},   c = ⌊trim · K⌋

    Between the average (trim 0) and the median: up to c models that are far off, or poisoned, move
    no element beyond the values of the others.

    Attributes:
        trim: fraction of the models left out at either end; larger bears more bad models and
            averages fewer good ones. With fewer than 1 / trim models nothing is left out.

    Needs: one model or more; no weights, no base.
    Cost: one pass; all K rows of a block at once, K (K - 1) / 2 exchanges.
    Example:
        >>> import torch, stockpot as sp
        >>> models = [{"w": torch.tensor([x])} for x in (1.0, 2.0, 3.0, 100.0)]
        >>> sp.merge(models, TrimmedMean(trim=0.25))
        {'w': tensor([2.5000])}

    Source: Yin et al., Byzantine-robust distributed learning, ICML 2018, arXiv 1803.01498.
    """

    trim: Annotated[float, Ge(0), Lt(0.5)] = 0.1

    @property
    def needs(self) -> Needs:
        """One model or more, unweighted."""
        return Needs(weights="unused")

    def __call__(self, stack: Stack, settled: Settled | None) -> Tensor:
        """The mean of the middle values of each element."""
        count = len(stack.models)
        # 0.29 · 100 is a little below 29 in floating point
        cut = min(int(self.trim * count + 1e-9), (count - 1) // 2)
        return means.trimmed_mean(stack.models, cut)
