"""How the entries of one tensor are distributed, from one pass: moments, quantiles, normality.

An entry falls into one of 2^16 bins by the bits of its value in a 16-bit format. A format of at
most 16 bits is its own: bins are values, so that moments and quantiles are exact. Of wider formats
the distance from a pivot, an entry in the middle, is binned by the upper half of its float32 bits,
so that bins are at most 2^-7 of that distance wide; moments come from power sums in float64. Counts
are integers and sums are joined exactly, so any slicing gives the same bits.

Shapes: S elements of a run, B bins that are not empty, in the order of their values.
"""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from ..core import SEGMENT, Sums
from ..lazy import Tensor, torch
from ..typed import from_numpy, to_floats, to_numpy

Codes = npt.NDArray[np.uint16]
Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
_BINS = 2**16
_FEW = 2**13
RUN = 2**20
"""Elements that are counted at once."""


class Scope(NamedTuple):
    """Of one tensor, over all its entries; the standard deviation divides by their number."""

    mean: float
    std: float


Scopes = Mapping[str, Scope]
"""By the names of tensors."""


@dataclass(frozen=True, slots=True)
class Moments:
    """Of all entries; dividing by their number. NaN where there is no spread to divide by.

    Attributes:
        mean, std: μ and σ.
        skewness: E(w - μ)³ / σ³; 0 of a normal distribution.
        kurtosis: E(w - μ)⁴ / σ⁴ - 3; 0 of a normal distribution, -1.2 of a uniform one.
    """

    mean: float
    std: float
    skewness: float
    kurtosis: float


@dataclass(frozen=True, slots=True, eq=False)
class Sketch:
    """Of some entries of one tensor.

    Attributes:
        dtype: whose bits bins are: bfloat16, float16, or float32 for those of distances.
        pivot: what distances are taken from; 0 where bins are values.
        codes, counts: bins that are not empty, and how many entries each has.
        powers: [segments, 5], sums of the first four powers of distances, and of the squares of the
            entries themselves; no segment where bins are values.
    """

    dtype: "torch.dtype"
    pivot: float
    codes: Codes
    counts: Ints
    powers: Sums

    def join(self, others: Sequence["Sketch"]) -> "Sketch":
        """Of all their entries; dtype and pivot are the same."""
        every = (self, *others)
        powers = Sums(torch.cat([one.powers.partials for one in every]))
        return Sketch(self.dtype, self.pivot, *_merged(every), powers)

    def square(self) -> float:
        """Σ w², correctly rounded where bins are values, else of float64 sums."""
        if len(self.powers.partials):
            return to_floats(self.powers.total())[4]
        values = _values(self.codes, self.dtype)
        return math.fsum((values * values * self.counts).tolist())  # products are exact up to 2^37

    def distribution(self) -> "Distribution | None":
        """Of the whole tensor; None where an entry is NaN, infinite or too large to be squared."""
        powers = to_floats(self.powers.total()) if len(self.powers.partials) else []
        exponent = 0x7C00 if self.dtype == torch.float16 else 0x7F80
        finite = (self.codes & exponent) != exponent
        if not finite.all() or not all(map(math.isfinite, powers)):
            return None
        order = np.argsort(_rank(self.codes))
        values = _values(self.codes[order], self.dtype)
        counts = self.counts[order]
        low, high = _edges(self.codes[order], self.dtype)
        if powers:
            moments = _from_powers(powers, int(counts.sum()), self.pivot)
            values, low, high = (one + self.pivot for one in (values, low, high))
        else:
            moments = _from_values(values, counts)
        return Distribution(moments, values, low, high, np.cumsum(counts), not powers)


@dataclass(frozen=True, slots=True, eq=False)
class Distribution:
    """Of all entries of one tensor.

    Attributes:
        moments: exact but for rounding in float64.
        values: [B] of the bins, where they are values.
        low, high: [B] the edges of each bin.
        below: [B] how many entries lie in it or below.
        exact: whether bins are values.
    """

    moments: Moments
    values: Floats
    low: Floats
    high: Floats
    below: Ints
    exact: bool

    @property
    def count(self) -> int:
        """Entries."""
        return int(self.below[-1])

    def quantiles(self, shares: Sequence[float]) -> tuple[float, ...]:
        """The smallest value that such a share of the entries does not exceed.

        In a bin that is wider than a value, entries are taken to be spread evenly.
        """
        wanted = [max(share * self.count, 1e-9) for share in shares]
        at = np.searchsorted(self.below, wanted, side="left").clip(max=len(self.below) - 1)
        if self.exact:
            return tuple(self.values[at].tolist())
        before = np.where(at > 0, self.below[at - 1], 0)
        part = (np.asarray(wanted) - before) / (self.below[at] - before)
        found = self.low[at] + part * (self.high[at] - self.low[at])
        return tuple(found.tolist())

    def distance_to_normal(self) -> float:
        """Kolmogorov and Smirnov's: the largest gap between F and that of N(μ, σ²).

        At the edges of bins, which for 16-bit formats lie half way between two values, so that
        rounding to the format does not count. Within a bin the gap can be at most 0.002 larger.
        NaN where σ is 0.
        """
        mean, std = self.moments.mean, self.moments.std
        if not std > 0:
            return math.nan
        share = self.below / self.count
        before = np.concatenate([[0.0], share[:-1]])
        gaps = [
            np.abs(held - _normal((edge - mean) / std)).max()
            for held, edge in ((before, self.low), (share, self.high))
        ]
        return float(max(gaps))


def pivot_of(first_S: Tensor) -> float:
    """What distances are taken from: of a run of entries, the one next to their mean.

    0 where bins are values, and where the run is not finite.
    """
    if first_S.dtype.itemsize <= 2 or not first_S.numel():
        return 0.0
    wide_S = first_S.double()
    pivot = float(wide_S[(wide_S - wide_S.mean()).abs().argmin()])
    return pivot if math.isfinite(pivot) else 0.0


def sketch(row_S: Tensor, pivot: float) -> Sketch:
    """Of a run that starts at a multiple of SEGMENT, in its stored dtype.

    Args:
        row_S: any floating-point dtype; those of 8 bits are counted as bfloat16, which holds them.
        pivot: of the whole tensor, by `pivot_of`.
    """
    if row_S.dtype.itemsize == 1:
        row_S = row_S.bfloat16()
    if row_S.dtype.itemsize == 2:
        return Sketch(row_S.dtype, 0.0, *_counted(_runs(row_S.view(torch.uint16), RUN)), _sums([]))
    powers = list[tuple[float, ...]]()
    codes = (_distances(run_S, pivot, powers) for run_S in _runs(row_S, RUN))
    return Sketch(torch.float32, pivot, *_counted(codes), _sums(powers))


def _distances(row_S: Tensor, pivot: float, powers: list[tuple[float, ...]]) -> Tensor:
    """The upper half of the bits of the distances; their power sums are appended."""
    codes_S = torch.empty(len(row_S), dtype=torch.int16)
    for segment_S, to_S in zip(_runs(row_S, SEGMENT), _runs(codes_S, SEGMENT), strict=True):
        wide_S = segment_S.double()
        distance_S = wide_S - pivot
        powers.append((*_powers(distance_S), float(torch.dot(wide_S, wide_S))))
        to_S.copy_(distance_S.float().view(torch.int32).bitwise_right_shift_(16))
    return codes_S.view(torch.uint16)


def _runs(row_S: Tensor, size: int) -> Iterator[Tensor]:
    return (row_S[start : start + size] for start in range(0, len(row_S), size))


def _counted(runs: Iterable[Tensor]) -> tuple[Codes, Ints]:
    """Codes that there are, and how many of each."""
    dense = torch.zeros(0)
    for codes_S in runs:
        if len(codes_S) <= _FEW and not len(dense):  # so the first of them is the only one
            codes, counts = np.unique(to_numpy(codes_S), return_counts=True)
            return codes, counts
        counts_B = torch.bincount(codes_S.to(torch.int32), minlength=_BINS)
        dense = dense.add_(counts_B) if len(dense) else counts_B
    return _sparse(to_numpy(dense))


def _sparse(dense: Ints) -> tuple[Codes, Ints]:
    codes = np.flatnonzero(dense > 0)
    return codes.astype(np.uint16), dense[codes]


def _merged(sketches: Sequence[Sketch]) -> tuple[Codes, Ints]:
    """Codes of all, each once, and how many of each."""
    dense = np.zeros(_BINS, np.int64)
    for one in sketches:
        dense[one.codes] += one.counts
    return _sparse(dense)


def _sums(powers: Sequence[tuple[float, ...]]) -> Sums:
    return Sums(torch.tensor(powers, dtype=torch.float64).reshape(-1, 5))


def _powers(distance_S: Tensor) -> tuple[float, ...]:
    square_S = distance_S * distance_S
    sums = (
        distance_S.sum(),
        torch.dot(distance_S, distance_S),
        torch.dot(square_S, distance_S),
        torch.dot(square_S, square_S),
    )
    return tuple(map(float, sums))


def _rank(codes: Codes) -> Ints:
    """A number that orders codes as their values are; -0 comes right before 0."""
    wide = codes.astype(np.int64)
    return np.where(wide < 2**15, wide, 2**15 - 1 - wide)


def _code(rank: Ints) -> Codes:
    return np.where(rank >= 0, rank, 2**15 - 1 - rank).astype(np.uint16)


def _values(codes: Codes, dtype: "torch.dtype") -> Floats:
    if dtype == torch.float16:
        return codes.view(np.float16).astype(np.float64)
    return (codes.astype(np.uint32) << np.uint32(16)).view(np.float32).astype(np.float64)


def _edges(codes: Codes, dtype: "torch.dtype") -> tuple[Floats, Floats]:
    """Lower and upper edge of each bin.

    Of distances, whose bits are cut: from the value to the next one further from 0. Of values:
    half way to the next ones, and 0 and -0 share theirs.
    """
    here, rank = _values(codes, dtype), _rank(codes)
    largest = 2**15 - 1
    if dtype == torch.float32:
        away = _values(np.minimum(codes & largest, largest - 1).astype(np.uint16) + 1, dtype)
        away = np.where(np.isfinite(away), away, np.abs(here))
        return np.where(rank < 0, -away, here), np.where(rank < 0, here, away)
    up = _values(_code(np.where(rank == -1, 1, np.minimum(rank + 1, largest))), dtype)
    down = _values(_code(np.where(rank == 0, -2, np.maximum(rank - 1, -largest - 1))), dtype)
    up, down = (np.where(np.isfinite(one), one, here) for one in (up, down))
    return (here + down) / 2, (here + up) / 2


def _from_values(values: Floats, counts: Ints) -> Moments:
    total = int(counts.sum())
    mean = float((values * counts).sum()) / total
    centred = values - mean
    squares = centred * centred * counts
    second, third, fourth = (
        float(sums.sum()) / total
        for sums in (squares, squares * centred, squares * centred * centred)
    )
    return _moments(mean, second, third, fourth)


def _from_powers(powers: Sequence[float], count: int, pivot: float) -> Moments:
    """From power sums of distances to a pivot that lies in the middle, so that little cancels."""
    first, second, third, fourth = (power / count for power in powers[:4])
    return _moments(
        pivot + first,
        max(second - first**2, 0.0),
        third - 3 * first * second + 2 * first**3,
        fourth - 4 * first * third + 6 * first**2 * second - 3 * first**4,
    )


def _moments(mean: float, second: float, third: float, fourth: float) -> Moments:
    std = math.sqrt(second)
    if not std**4 > 0:
        return Moments(mean, std, math.nan, math.nan)
    return Moments(mean, std, third / std**3, fourth / second**2 - 3)


def _normal(z: Floats) -> Floats:
    return to_numpy(torch.erfc(from_numpy(z * -math.sqrt(0.5)))) / 2
