"""Task arithmetic (Ilharco et al., Editing models with task arithmetic, arXiv 2212.04089)."""

from collections.abc import Sequence
from dataclasses import dataclass

from ..core import Method, Needs, Settled, Stack
from ..lazy import Tensor
from ..ops.means import affine, overshoot
from ..values.fields import Finite


@dataclass(frozen=True, slots=True)
class TaskArithmetic(Method):
    """Add the weighted sum of task vectors to the base.

    θ = θ_0 + scale · Σ_k w_k (θ_k - θ_0)

    Negative weights unlearn, weights 1 and -1 make analogies; weights 1/K at scale 1 are the
    average.

    Attributes:
        scale: λ on the summed task vector; larger moves further from the base. The paper's eight
            vision tasks are best at 0.3 to 0.4; at K tasks that pull alike, 1/K is the average.

    Needs: a base; weights as given, not divided by their sum.
    Cost: one pass, two rows.
    Deviations: summed as differences from the heaviest point, so that one model at scale 1 is
        returned to the last bit.
    Example:
        >>> import torch, stockpot as sp
        >>> models = [{"w": torch.tensor([3.0, 1.0])}, {"w": torch.tensor([1.0, 2.0])}]
        >>> sp.merge(models, TaskArithmetic(scale=0.5), base={"w": torch.tensor([1.0, 1.0])})
        {'w': tensor([2.0000, 1.5000])}

    Source: Ilharco et al., ICLR 2023, arXiv 2212.04089.
    """

    scale: Finite = 1.0

    @property
    def needs(self) -> Needs:
        """A base and one model or more."""
        return Needs(base=True, weights="sum")

    def __call__(self, stack: Stack, settled: Settled | None) -> Tensor:
        """An affine combination of base and models."""
        return affine(stack.models, [self.scale * w for w in stack.weights], stack.anchor)

    def advice(self, weights: tuple[float, ...]) -> Sequence[str]:
        """Warn where the sum overshoots every model."""
        return overshoot(self.scale, weights)
