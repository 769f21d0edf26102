"""Protocol: what each part of a published way of testing does to the columns."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

from annotated_types import Ge

from ...values.fields import check_fields
from ...values.result import Progress
from ..study import StudyOfPools, StudyResult

if TYPE_CHECKING:
    from ...pages.page import Page
    from ..pools import TrainedPools
    from .result import ProtocolResult


@dataclass(frozen=True, slots=True, kw_only=True)
class Protocol(StudyOfPools):
    """What testing as published adds to or takes from each column (arXiv 2411.09263's code).

    Args:
        counts: numbers of ingredients, the first so many; the experiment's own, or 2 to all.

    Raises:
        FieldError: a sweep of several networks, fewer than two ingredients.
        StockpotError: whatever networks and merging find.

    Deviations: the published selection split is re-drawn from all that is not test, so that about
        90% were training data of each ingredient; here 90% exactly, at the size of ours.

    Source: arXiv 2411.09263 and the code that its authors published.
    """

    counts: tuple[Annotated[int, Ge(2)], ...] = ()

    def __post_init__(self) -> None:
        check_fields(self)

    def __call__(
        self, trained: "TrainedPools", *, progress: Progress | None = None
    ) -> "ProtocolResult":
        """What each deviation of the published protocol does to these pools."""
        from .computing import compute

        return compute(self, trained, progress=progress)

    @classmethod
    def result(cls) -> type[StudyResult]:
        """The type of what it gives."""
        from .result import ProtocolResult

        return ProtocolResult

    @classmethod
    def page(cls) -> "Callable[[Any], Page]":
        """What makes a page of what it gives."""
        from .page import protocol_page

        return protocol_page
