"""The methods that a forecast speaks of, each with the values it was measured with."""

from collections.abc import Callable
from dataclasses import dataclass

from ....core import Method
from ....methods import (
    Average,
    Cart,
    Dare,
    IsoC,
    Median,
    ModelStock,
    Slerp,
    TaskArithmetic,
    Ties,
    TsvM,
)


@dataclass(frozen=True, slots=True)
class Candidate:
    """A method that is forecast.

    Attributes:
        name: as the command line has it.
        value: its value for K models.
        reach: roughly how far it goes from the base, in mean task vectors; so that methods that
            overshoot or hold back are neighbours.
        most: the largest number of models that it takes, or none.
    """

    name: str
    value: Callable[[int], Method]
    reach: float
    most: int | None = None

    @property
    def base(self) -> bool:
        """Whether it needs one."""
        return self.value(2).needs.base

    def takes(self, count: int, *, based: bool) -> bool:
        """Whether it can merge K models, with or without a base."""
        return (self.most is None or count <= self.most) and (based or not self.base)


CANDIDATES: tuple[Candidate, ...] = (
    Candidate("average", lambda _: Average(), 1.0),
    Candidate("slerp", lambda _: Slerp(), 1.0, most=2),
    Candidate("median", lambda _: Median(), 1.0),
    Candidate("task-arithmetic", lambda count: TaskArithmetic(scale=1.5 / count), 1.5),
    Candidate("ties", lambda _: Ties(density=0.2), 1.3),
    Candidate("dare", lambda count: Dare(density=0.5, scale=1 / count), 1.2),
    Candidate("model-stock", lambda _: ModelStock(), 0.5),
    Candidate("cart", lambda _: Cart(rank=0.08, tensors="matrices"), 1.1),
    Candidate("tsv-m", lambda _: TsvM(), 2.0),
    Candidate("iso-c", lambda _: IsoC(), 3.0),
)
"""With each method's own defaults, but for: task arithmetic goes half as far again as the average,
DARE sums to an average, CART takes all matrices. Simplest first."""


def candidates(count: int, *, based: bool) -> tuple[Candidate, ...]:
    """Those that can merge K models, with or without a base.

    Example:
        >>> [one.name for one in candidates(3, based=False)]
        ['average', 'median', 'cart']
    """
    return tuple(one for one in CANDIDATES if one.takes(count, based=based))
