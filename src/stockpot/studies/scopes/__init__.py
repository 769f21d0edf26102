"""Scopes: mean and spread of the weights of each layer, and how models differ in them."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..study import WEIGHTS, RoleName, StudyOfModels

if TYPE_CHECKING:
    from .result import ScopesResult as ScopesResult


@dataclass(frozen=True, slots=True, kw_only=True)
class Scopes(StudyOfModels["ScopesResult"]):
    """Mean and spread of each layer's weights, whether they are normal, how models differ (WSA).

    A scope is the mean μ and the standard deviation σ of a weight tensor's entries. The target of
    fusing is μ* = (1/K) Σ_k μ_k, σ*² = (1/K) Σ_k σ_k².

    Args:
        roles: of tensors that are looked at, as stockpot inspect has them.

    Raises:
        MergeError: no tensor of these roles is in all models.
        StockpotError: as `statistics_of`.

    Cost: one pass.
    Deviations: none known; how the target's variance is fused is not said in what is at hand of the
        paper, so all three rules are told.
    Source: Xu et al., Weight Scope Alignment, arXiv 2408.12237.
    """

    roles: tuple[RoleName, ...] = WEIGHTS
