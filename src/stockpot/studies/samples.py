"""What pools' shared test samples add to the intervals of a study, kept in its result.

A study's numbers are written pool by pool. Their draws are not: of these only the covariance of two
pools through the samples is kept, which is all that an interval needs beside the numbers.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..evaluation.results.estimator import Shared

if TYPE_CHECKING:
    from ..evaluation.scores.bootstrap import Estimate


@dataclass(frozen=True, slots=True, kw_only=True)
class SharedRow:
    """What the test samples add to a number of every pool alike; see `estimator.Shared`.

    Attributes:
        cell: of the sweep; the network's name without one.
        of: which number.
        variance: the covariance of two pools through their samples.
        units: distinct test samples.
    """

    cell: str
    of: str
    variance: float
    units: int


def shared_rows(cell: str, of_each: Mapping[str, "Estimate"]) -> Iterator[SharedRow]:
    """Of every number whose samples were redrawn; nothing for fewer than three pools."""
    for of, estimate in of_each.items():
        variance, units = estimate.shared()
        if variance:
            yield SharedRow(cell=cell, of=of, variance=variance, units=units)


def shared_of(rows: Sequence[SharedRow], cell: str, of: str) -> Shared:
    """Of one number; nothing where it is not there, as in files of earlier versions."""
    mine = (Shared(row.variance, row.units) for row in rows if (row.cell, row.of) == (cell, of))
    return next(mine, Shared())
