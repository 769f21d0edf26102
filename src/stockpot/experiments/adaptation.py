"""AdaMerging as an experiment writes it: a name and its fields, beside the merge methods."""

from dataclasses import dataclass
from typing import Annotated, Literal

from annotated_types import Ge

from ..values.fields import (
    Finite,
    Fraction,
    check_fields,
)

ADAMERGING = "adamerging"
"""What it is called in files and tables."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Adamerging:
    """How much of each task vector goes into one body, learned without labels.

    Attributes:
        level: "layer" has a coefficient for each task and tensor, "task" one for each task.
        vectors: "plain" task vectors; "ties" trims them and keeps what has the elected sign
            (AdaMerging++); "cart" is around the average: centred task vectors at low rank.
        inputs: those of the "test" split, as in the paper, which is adaptation at test time; or of
            the "selection" split.
        steps: of Adam; with none, every coefficient stays `init`.
        lr: of Adam.
        batch_size: inputs of each task at each step.
        init: where every coefficient starts.
        clamp: "unit" uses coefficients cut to [0, 1]; one that is outside has no gradient. "none"
            lets them be any number.
        density: fraction of each task vector that "ties" keeps, the largest by magnitude.
        rank: fraction of the full rank that "cart" keeps of each matrix.

    Source: Yang et al., AdaMerging, arXiv 2310.02575.
    """

    level: Literal["layer", "task"] = "layer"
    vectors: Literal["plain", "ties", "cart"] = "plain"
    inputs: Literal["test", "selection"] = "test"
    steps: Annotated[int, Ge(0)] = 500
    lr: Annotated[float, Ge(0)] = 1e-3
    batch_size: Annotated[int, Ge(1)] = 16
    init: Finite = 0.3
    clamp: Literal["unit", "none"] = "unit"
    density: Fraction = 0.2
    rank: Fraction = 0.08

    def __post_init__(self) -> None:
        check_fields(self)
