"""Fisher merging: an average weighted element by element (Matena, Raffel, arXiv 2111.09832).

Shapes: K models, S elements of a block.
"""

from dataclasses import dataclass
from typing import Annotated

from annotated_types import Ge

from ..core import Costs, Method, Needs, Settled, Stack, Statistic
from ..lazy import Tensor
from ..ops.means import weighed


@dataclass(frozen=True, slots=True)
class Fisher(Method):
    """Average in which each element of a model counts as much as its model's data determine it.

    θ = Σ_k w_k F_k θ_k / Σ_k w_k F_k,   F_k = max(Fisher_k, floor), element by element

    Fisher_k is the diagonal of the Fisher information of model k on its own data. It is the mode of
    the product of Gaussian posteriors of precision w_k F_k; with equal F_k it is the average.

    Attributes:
        floor: the least that an element counts; larger brings the result nearer to the average.
            Where no data of any model determine an element the average is taken.

    Needs: one model or more, and for each its diagonal Fisher information, under the names of its
        tensors; no base. Weights must not be negative.
    Cost: one pass, one row of a model and one of its statistics at a time.
    Deviations: summed as differences from the heaviest model, so that copies of one model give it
        back to the last bit, whatever their statistics. Nothing is normalised per model.
    Example:
        >>> import torch, stockpot as sp
        >>> models = [{"w": torch.tensor([0.0, 2.0])}, {"w": torch.tensor([4.0, 2.0])}]
        >>> fisher = [{"w": torch.tensor([1.0, 5.0])}, {"w": torch.tensor([3.0, 1.0])}]
        >>> sp.merge(models, Fisher(), statistics=fisher)
        {'w': tensor([3., 2.])}

    Source: Matena, Raffel, Merging models with Fisher-weighted averaging, NeurIPS 2022, arXiv
        2111.09832.
    """

    # A smaller one could leave sums of nothing in float32.
    floor: Annotated[float, Ge(1e-20)] = 1e-6

    @property
    def needs(self) -> Needs:
        """One model or more, each with its diagonal Fisher information."""
        return Needs(statistics=(Statistic("fisher"),))

    @property
    def costs(self) -> Costs:
        """Sums of importances and of importance times weight are held."""
        return Costs(held_rows=2)

    def __call__(self, stack: Stack, settled: Settled | None) -> Tensor:
        """Σ_k w_k F_k θ_k / Σ_k w_k F_k."""
        shares = (one.clamp(min=self.floor) for one in stack.statistics["fisher"])
        return weighed(stack.models, stack.weights, shares)
