"""Backdoor: who moves a merge most, where, and who is unlike the others: from weights alone."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from annotated_types import Gt

from ...core import Method
from ...methods import Average
from ..study import PARAMETERS, RoleName, StudyOfModels

if TYPE_CHECKING:
    from .result import BackdoorResult as BackdoorResult

AVERAGE = Average()
THRESHOLD = 3.5
"""Iglewicz and Hoaglin's, for spreads from the median (How to detect and handle outliers, 1993)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Backdoor(StudyOfModels["BackdoorResult"]):
    """Leave one out: which contributor moves the merge most, where, and who is an outlier.

    With δ_k = θ_k - base (or θ_k less the mean of the models), M the merge of all K models and M_i
    that of all but model i:

        influence_i = |M - M_i|        of the average: |θ_i - mean_{j≠i} θ_j| / K

    The score of a model is the largest of four robust deviations (`Suspicion`); each compares the
    model with what the others have among themselves without it: (m_i - median_j) / spread, the
    spread 1.4826 times the median absolute deviation and at least 0.1 of a logarithm of lengths and
    distances, 0.05 of a cosine or a share. A score above `threshold` is an alarm.

    Args:
        method: whose merge is looked at. Scores do not depend on it. Another than the average takes
            K + 1 merges in memory.
        roles: of tensors that are looked at, as stockpot inspect has them.
        threshold: scores above it are an alarm.
        seed: of methods that draw at random.

    Called with two models or more; three or more for scores. Without a base neither lengths nor
    directions are told.

    Raises:
        FieldError: fewer than two models.
        MergeError: no tensor of these roles is in all models (and the base); or the method refuses.
        StockpotError: as `statistics_of`.

    Cost: one pass. Of another method than the average K + 1 merges and 2 K + 1 passes over what
        they give, with two merged models in memory.
    Limits: an attack that is as short as the others' task vectors and in no unusual direction is
        not seen; an honest model with other data is. Attackers who are alike hide each other.
    """

    method: Method = AVERAGE
    roles: tuple[RoleName, ...] = PARAMETERS
    threshold: Annotated[float, Gt(0)] = THRESHOLD
    seed: int = 0
