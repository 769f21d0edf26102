"""What one pass over checkpoints of any size tells of each tensor: a frozen result.

Studies of scopes and of conflicts, and the diagnosis, are made of it. Shapes: K models.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from ...ops.distribution import Moments

SHARES = (0.001, 0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99, 0.999)
"""Of entries, at which quantiles are kept."""
Centre = Literal["base", "mean"]
Matrix = tuple[tuple[float, ...], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Entries:
    """How the entries of one tensor in one model are distributed.

    Attributes:
        dtype: as it is stored.
        moments: mean, standard deviation, skewness, excess kurtosis.
        distance: Kolmogorov and Smirnov's, to the normal distribution of the same mean and standard
            deviation; NaN where the standard deviation is 0.
        quantiles: at `SHARES`; exact of 16-bit formats, else within a bin at most 2^-7 of the
            distance from the middle wide.
    """

    dtype: str
    moments: Moments
    distance: float
    quantiles: tuple[float, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Signs:
    """How far the signs of task vectors agree; a zero has no sign.

    Attributes:
        nonzero: by model, the share of elements at which its task vector is not 0.
        both: [K, K], the share of elements at which neither of two task vectors is 0.
        agree: [K, K], of those elements, the share at which their signs are equal; NaN where there
            is none.
        touched: the share of elements at which some task vector is not 0.
        majority: of all entries that are not 0, the share whose sign is the one that most task
            vectors have at that element (where both signs are as frequent, half of them); 1/2 at
            least, and NaN where all are 0. Task vectors of random signs have 3/4 for K of 2 and 3.
        unanimous: of the elements at which some task vector is not 0, the share at which no two
            have opposite signs; NaN where all are 0. Around the mean that cannot be.
    """

    nonzero: tuple[float, ...]
    both: Matrix
    agree: Matrix
    touched: float
    majority: float
    unanimous: float


@dataclass(frozen=True, slots=True, kw_only=True)
class TensorStatistics:
    """Of one tensor in all models.

    Attributes:
        name, shape, role: as `stockpot inspect` has them.
        centre: what task vectors are differences from.
        models: of each model's own entries.
        base: of the base's, where it has this tensor.
        gram: [K, K] inner products of the models, float64.
        deltas: [K, K] inner products of task vectors, float64.
        signs: of task vectors.
    """

    name: str
    shape: tuple[int, ...]
    role: str
    centre: Centre
    models: tuple[Entries, ...]
    base: Entries | None
    gram: Matrix
    deltas: Matrix
    signs: Signs

    @property
    def numel(self) -> int:
        """Number of elements."""
        return math.prod(self.shape)

    @property
    def around_mean(self) -> Matrix:
        """[K, K] inner products of the models less their mean, whatever the centre.

        `δ_i - δ̄` has the product `D_ij - mean_j D_i. - mean_i D_.j + mean D`.
        """
        return centred(self.deltas)


@dataclass(frozen=True, slots=True)
class Left:
    """A tensor that was left out, and why, in words that follow its name.

    Attributes:
        name, reason: in words.
        damaged: the models in which it holds NaN or infinity, if that is the reason.
    """

    name: str
    reason: str
    damaged: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Statistics:
    """What `statistics_of` found.

    Attributes:
        names: what the models are called.
        base: what the base is called, or none.
        tensors: in the order of the first model's files.
        left: tensors of which there are no statistics.
        notes: what readers noticed, in sentences.
    """

    names: tuple[str, ...]
    base: str | None
    tensors: tuple[TensorStatistics, ...]
    left: tuple[Left, ...]
    notes: tuple[str, ...]

    def among(self, roles: Sequence[str]) -> tuple[TensorStatistics, ...]:
        """Tensors of these roles."""
        return tuple(one for one in self.tensors if one.role in roles)


def centred(gram: Matrix) -> Matrix:
    """Inner products of K vectors less their mean, from those of the vectors themselves.

    Example:
        >>> centred(((4.0, 0.0), (0.0, 0.0)))
        ((1.0, -1.0), (-1.0, 1.0))
    """
    count = len(gram)
    rows = [math.fsum(row) / count for row in gram]
    mean = math.fsum(rows) / count
    return tuple(
        tuple(math.fsum((gram[i][j], -rows[i], -rows[j], mean)) for j in range(count))
        for i in range(count)
    )


def cosine(gram: Matrix, i: int, j: int) -> float:
    """`G_ij / sqrt(G_ii G_jj)` within [-1, 1]; NaN where a norm is 0.

    Example:
        >>> cosine(((4.0, 1.0), (1.0, 1.0)), 0, 1)
        0.5
    """
    scale = math.sqrt(gram[i][i]) * math.sqrt(gram[j][j])
    return max(-1.0, min(1.0, gram[i][j] / scale)) if scale > 0 else math.nan


def summed(grams: Sequence[Matrix]) -> Matrix:
    """The matrix of all tensors together."""
    size = range(len(grams[0]))
    return tuple(tuple(math.fsum(gram[i][j] for gram in grams) for j in size) for i in size)
