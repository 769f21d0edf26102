"""Protocol: what each part of a published way of testing does to the columns."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from annotated_types import Ge

from ..study import StudyOfPools

if TYPE_CHECKING:
    from .result import ProtocolResult as ProtocolResult


@dataclass(frozen=True, slots=True, kw_only=True)
class Protocol(StudyOfPools["ProtocolResult"]):
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
