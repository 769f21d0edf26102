"""Conflicts: signs, angles and lengths of task vectors, layer by layer."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Unpack

from ...values.fields import check_fields
from ..study import PARAMETERS, How, Model, RoleName, StudyOfModels, StudyResult

if TYPE_CHECKING:
    from ...pages.page import Page
    from .result import ConflictsResult


@dataclass(frozen=True, slots=True, kw_only=True)
class Conflicts(StudyOfModels):
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

    def __post_init__(self) -> None:
        check_fields(self)

    def __call__(
        self, models: Sequence[Model], base: Model | None = None, **how: Unpack[How]
    ) -> "ConflictsResult":
        """Whether the task vectors of these models pull in one direction."""
        from .computing import compute

        return compute(self, models, base, **how)

    @classmethod
    def result(cls) -> type[StudyResult]:
        """The type of what it gives."""
        from .result import ConflictsResult

        return ConflictsResult

    @classmethod
    def page(cls) -> "Callable[[Any], Page]":
        """What makes a page of what it gives."""
        from .page import conflicts_page

        return conflicts_page
