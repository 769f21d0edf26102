"""AdaMerging as an experiment writes it: a name and its fields, beside the merge methods."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Literal, cast

from annotated_types import Ge

from ..errors import FieldError
from ..values.fields import (
    Finite,
    Fraction,
    check_fields,
    find_field,
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


def is_adamerging(value: object) -> bool:
    """Whether a value of a file names it."""
    if isinstance(value, Mapping):
        value = cast(Mapping[object, object], value).get("name")
    return isinstance(value, Adamerging) or value == ADAMERGING


def read_adamerging(value: object) -> Adamerging:
    """The value, its name, or a mapping of its name and its fields.

    Raises:
        FieldError: an unknown field, or a value out of its bounds.

    Example:
        >>> read_adamerging({"name": "adamerging", "level": "task"}).level
        'task'
    """
    if isinstance(value, Adamerging):
        return value
    if isinstance(value, str) and value == ADAMERGING:
        return Adamerging()
    if not is_adamerging(value):
        raise FieldError(f"must be '{ADAMERGING}', or {{name: {ADAMERGING}, and its fields}}.")
    given = {str(key): one for key, one in cast(Mapping[object, object], value).items()}
    del given["name"]
    for name in given:
        find_field(Adamerging, name)
    return Adamerging(**given)  # pyright: ignore[reportArgumentType] - its fields are checked there
