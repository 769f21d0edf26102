"""Which singular values are no more than what rounding makes of the weights that are stored.

A matrix [M, N] of independent roundings, each of mean square s²/12, has singular values up to
s/√12 (√M + √N), s the root mean square of the steps of the stored dtype at the weights.
"""

import math
from dataclasses import dataclass, replace

from ...lazy import Tensor, torch

ROUNDED = 0.5
"""c in c s (√M + √N): above 1/√12 = 0.29 by what unequal steps and chance add."""
TRAINED = 16.0
"""So many times more where values fall suddenly: training rounds weights again at every step."""
SUDDEN = 1e-3
"""A fall to less than this share of the value before, which matrices of full rank seldom have."""


@dataclass(frozen=True, slots=True)
class Noise:
    """The singular values that are noise in a matrix.

    Attributes:
        level: a value up to this one is noise.
        share: so is one up to this share of the largest.
        rounds: a value that suddenly falls is noise up to so many times the level.
    """

    level: float = 0.0
    share: float = 0.0
    rounds: float = 1.0

    @classmethod
    def of_rounding(cls, mean_square: float, rows: int, columns: int) -> "Noise":
        """Of a matrix whose elements have steps of this mean square."""
        size = math.sqrt(rows) + math.sqrt(columns)
        return cls(level=ROUNDED * math.sqrt(mean_square) * size, rounds=TRAINED)

    def beside(self, largest: float) -> "Noise":
        """The same where the largest singular value is this one."""
        return replace(self, level=max(self.level, self.share * largest))

    def real(self, values_R: Tensor, above: float = 0.0) -> int:
        """How many of descending values are more than noise; NaN counts as such.

        Args:
            values_R: the values.
            above: a value that comes before the first, where there is one.
        """
        return int(is_real(values_R, torch.tensor(self.level), self.rounds, above).sum())


def is_real(values_R: Tensor, levels_R: Tensor, rounds: float, above: float = 0.0) -> Tensor:
    """Which of descending values are more than noise, whose level may be another for each."""
    before_R = torch.cat([values_R.new_tensor([above]), values_R])[: len(values_R)]
    sudden_R = (values_R <= rounds * levels_R) & (values_R <= SUDDEN * before_R)
    return ~((values_R <= levels_R) | (sudden_R.cumsum(0) > 0))
