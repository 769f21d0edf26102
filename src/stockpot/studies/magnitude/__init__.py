"""Magnitude: a factor on all weights, other disturbances, and what the bounds say."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Literal

from annotated_types import Ge

from ..study import StudyOfPools

if TYPE_CHECKING:
    from .result import MagnitudeResult as MagnitudeResult

Disturbance = Literal[
    "everything", "one-ingredient", "weights", "rescaling", "noise", "temperature"
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Magnitude(StudyOfPools["MagnitudeResult"]):
    """Are merges more robust to the magnitude of weights than ensembles (arXiv 2411.09263)?

    Each ingredient is disturbed, then merged and ensembled: all tensors times M as published, in
    float32, float64 and with carried exponents; and fairer ways (`perturbing.PERTURBATIONS`).
    soup(Mθ_1 ... Mθ_N) = M · soup(θ_1 ... θ_N) exactly, so this asks when M^depth is beyond
    float32.

    Args:
        counts: numbers of ingredients, the first so many; the experiment's own, or 2 to all.
        factors: M; by default twelve, from 1 to beyond where float32 is full.
        perturb: which disturbances; all without it.

    Raises:
        FieldError: a sweep of several networks; fewer than two ingredients.
        StockpotError: whatever networks and merging find.

    Deviations: members of greedy soups and ensembles are chosen once, on the selection split with
        networks as they are (the published code starts from an unmagnified soup and adds magnified
        networks). "one-ingredient" is the first, for every column alike, where the code's modes
        disagree.

    Source: arXiv 2411.09263, sections 5 and 6.3, appendix F.
    """

    counts: tuple[Annotated[int, Ge(2)], ...] = ()
    factors: tuple[Annotated[float, Ge(1)], ...] = ()
    perturb: tuple[Disturbance, ...] = ()
