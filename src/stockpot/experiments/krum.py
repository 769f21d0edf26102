"""Multi-Krum, a rule for whole models: which of them are averaged."""

from dataclasses import dataclass
from typing import Annotated

from annotated_types import Ge

from ..values.fields import check_fields


@dataclass(frozen=True, slots=True, kw_only=True)
class MultiKrum:
    """Average the models that lie closest to the others; a rule for whole models.

        score_k = Σ over the K - f - 2 nearest others j of ||θ_k - θ_j||²
        θ = mean of the models of the `keep` smallest scores

    Attributes:
        byzantine: f, how many models may be arbitrarily bad; K must be at least 2f + 3.
        keep: how many are averaged; 0 for K - f, 1 for Krum.

    Source: Blanchard et al., Machine Learning with Adversaries, NeurIPS 2017, arXiv 1703.02757.
    """

    byzantine: Annotated[int, Ge(0)] = 1
    keep: Annotated[int, Ge(0)] = 0

    def __post_init__(self) -> None:
        check_fields(self)

    def misfit(self, count: int) -> str | None:
        """Why it cannot choose among `count` models, in words; None where it can."""
        if count < 2 * self.byzantine + 3:
            return (
                f"multi-krum with byzantine={self.byzantine} needs at least "
                f"{2 * self.byzantine + 3} models; there are {count}."
            )
        if self.keep > count:
            return f"multi-krum keeps {self.keep} of {count} models."
        return None
