"""Conflicts: signs, angles and lengths of task vectors, layer by layer."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..study import PARAMETERS, RoleName, StudyOfModels

if TYPE_CHECKING:
    from .result import ConflictsResult as ConflictsResult


@dataclass(frozen=True, slots=True, kw_only=True)
class Conflicts(StudyOfModels["ConflictsResult"]):
    """Signs, angles and lengths of task vectors, layer by layer.

    δ_k = θ_k - base, or without a base θ_k less the mean of the models. Around the mean task
    vectors sum to 0, so cosines are -1 / (K - 1) and a third of signs agree for K = 3 where models
    are alike in all but noise; with two models they are opposite whatever they have learned.

    Args:
        roles: of tensors that are looked at, as stockpot inspect has them.

    Raises:
        FieldError: fewer than two models.
        MergeError: no tensor of these roles is in all models.
        StockpotError: as `statistics_of`.

    Cost: one pass.
    """

    roles: tuple[RoleName, ...] = PARAMETERS
