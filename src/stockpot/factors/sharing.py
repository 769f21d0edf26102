"""CART's directions, decomposed once for all trials that differ in rank and scale alone."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from torch import Tensor

from ..engine.options import Options
from ..errors import MergeError, OutputError
from ..methods import Cart
from ..recipes.reading.recipe import Recipe
from ..recipes.reading.space import Candidate, Choices, Range, Space
from .factored import Factored
from .making import at_any_rank
from .store import stored_factors_of

SHARED = frozenset(("rank", "scale"))
"""Fields on which a decomposition does not depend, up to the largest rank."""


@dataclass(frozen=True, slots=True)
class Factoring:
    """Factors of CART that stand for any rank up to theirs, and any scale.

    Attributes:
        kept: the factors.
        method: the recipe's, at the largest rank.
        weights: of the models, as the recipe has them.
    """

    kept: Factored
    method: Cart
    weights: tuple[float, ...] | None

    @property
    def fact(self) -> str:
        """For a reader of the report."""
        size = sum(self.kept.sizes[one] for one in ("average", "factors")) / 1e6
        return f"once, at rank {self.method.rank:g}; average and factors take {size:,.0f} MB"

    def merge(self, candidate: Candidate) -> dict[str, Tensor] | None:
        """The candidate's tensors; None where these factors are not of it.

        Within the error bound of the decomposition and one rounding of the stored dtype of what
        merging it from the models gives.
        """
        method = candidate.method
        if not isinstance(method, Cart) or candidate.weights != self.weights:
            return None
        if method.rank > self.method.rank or at_any_rank(method) != at_any_rank(self.method):
            return None
        return self.kept.merged(rank=method.rank, scale=method.scale)


def factoring_of(
    recipe: Recipe, space: Space, starts: Mapping[str, Candidate], folder: Path, options: Options
) -> Factoring | str:
    """Decompose what a search of this space will need, at the largest rank that it can ask for.

    A sentence that says why where nothing can be shared: axes beside rank and scale, layers or
    rules with a CART of their own, tensors that some models lack, factors beyond the store's limit
    or that cannot be written; an empty one where the method is another.

    Args:
        recipe: its method is the centre of the space.
        space: the axes.
        starts: candidates that are tried first.
        folder: where factors are kept, found again by the content of the models.
        options: memory and workers.

    Raises:
        StockpotError: models that cannot be read or decomposed.
    """
    centre = space.centre.method
    if not isinstance(centre, Cart):
        return ""
    if others := [name for name in space.axes if name not in SHARED]:
        return f"for each trial: {', '.join(others)} changes what is decomposed"
    first = [one.method for one in starts.values()]
    ranks = [
        one.rank
        for one in first
        if isinstance(one, Cart) and at_any_rank(one) == at_any_rank(centre)
    ]
    method = replace(centre, rank=max(_top(space, centre.rank), centre.rank, *ranks))
    wanted = replace(recipe, method=method)
    try:
        kept = stored_factors_of(folder, wanted, replace(options, device="cpu"))
    except (MergeError, OutputError) as error:
        return f"for each trial: {error}"
    return Factoring(kept, method, space.centre.weights)


def _top(space: Space, otherwise: float) -> float:
    """The largest rank on the axis."""
    match space.axes.get("rank"):
        case Range(high=high):
            return float(high)
        case Choices(values=values):
            return max(float(one) for one in values if not isinstance(one, str))
        case _:
            return otherwise
