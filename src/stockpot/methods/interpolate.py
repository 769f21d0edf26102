"""Linear interpolation of two models (WiSE-FT, Wortsman et al., arXiv 2109.01903)."""

from dataclasses import dataclass

from ..core import Method, Needs, Settled, Stack
from ..lazy import Tensor
from ..ops.means import affine
from ..values.fields import Finite


@dataclass(frozen=True, slots=True)
class Interpolate(Method):
    """The straight line through two models, or through the base and one model.

    θ = (1 - t) θ_a + t θ_b

    Attributes:
        t: the position: 0 is the first model (or the base), 1 the second; outside [0, 1] it
            extrapolates, as ExPO does (arXiv 2404.16792).

    Needs: exactly two models, or a base and one.
    Cost: one pass, two rows.
    Example:
        >>> import torch, stockpot as sp
        >>> a, b = {"w": torch.tensor([0.0])}, {"w": torch.tensor([1.0])}
        >>> sp.merge([a, b], Interpolate(t=1.5))
        {'w': tensor([1.5000])}

    Source: Wortsman et al., Robust fine-tuning of zero-shot models, CVPR 2022, arXiv 2109.01903.
    """

    t: Finite = 0.5

    @property
    def needs(self) -> Needs:
        """Two models in order; their weights are t and 1 - t."""
        return Needs(models=(2, 2), weights="unused", symmetric=False)

    def __call__(self, stack: Stack, settled: Settled | None) -> Tensor:
        """(1 - t) θ_a + t θ_b, exact at t = 0 and t = 1."""
        return affine(stack.models, [1 - self.t, self.t])
