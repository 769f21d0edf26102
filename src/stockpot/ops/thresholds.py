"""The exact k-th largest magnitude of any number of elements, in one pass and little memory.

A sample gives a bracket; one survey counts what lies above it and keeps what lies inside; the
threshold is then the exact order statistic. A missed bracket widens and costs one more survey, and
so does one that holds more different magnitudes than there is room for: those are counted in bins,
and the bin of the threshold is the next bracket.
Magnitudes are compared through their float bits, whose order as integers is the order of values.
Shapes: K models.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from ..core import Settled
from ..lazy import Tensor, torch
from ..typed import to_numpy

Bits = npt.NDArray[np.signedinteger]
_PENDING = 2**21
"""How many unsorted values a multiset may hold; 8 to 16 MiB."""
_CHUNKS = 256
"""In how many arrays they may lie, so that joining thousands of small tensors stays linear."""
_ABOVE_ALL = 2**63 - 1
_WIDER = 29
"""Bits of a float64's fraction beyond those of a float32's."""
_ENTRY = 16
"""Bytes of a value and its count in a table."""
_LEAST = 256
"""A table may always hold this many values, so that a bracket in bins becomes narrower."""


def _no_bits() -> Bits:
    return np.empty(0, np.int64)


@dataclass(frozen=True, slots=True)
class Multiset:
    """Integers with multiplicity: chunks still to be sorted, and a sorted table of what was.

    Attributes:
        pending: chunks of integers.
        values, counts: the table; of bins of 2^shift integers each, by their number.
        shift: 0 where the table is exact.
        most: how many values the table may hold; more of them go into wider bins, as wide as it
            takes for all of them, so that the order of joining does not matter.
    """

    pending: tuple[Bits, ...] = ()
    values: Bits = field(default_factory=_no_bits)
    counts: Bits = field(default_factory=_no_bits)
    shift: int = 0
    most: int = _ABOVE_ALL

    def join(self, other: "Multiset") -> "Multiset":
        """Both; sorted into the table once enough is pending."""
        tables = other.values.size > 0
        left = self if not tables else _merge(self, other)
        pending = (*left.pending, *other.pending)
        if len(pending) > _CHUNKS:
            pending = (np.concatenate(pending),)
        return replace(left, pending=pending).tidied()

    def tidied(self) -> "Multiset":
        """The same multiset, sorted into the table where enough is pending."""
        waiting = sum(p.size for p in self.pending)
        return self.compact() if waiting > min(_PENDING, 2 * self.most) else self

    def compact(self) -> "Multiset":
        """The same multiset with nothing pending, in bins that the table has room for."""
        if not self.pending:
            return self
        bits = np.concatenate(self.pending)
        values, counts = _tabulate(bits >> self.shift if self.shift else bits)
        table = replace(self, pending=())
        return _merge(table, replace(table, values=values, counts=counts))

    def coarser(self, shift: int) -> "Multiset":
        """With the table in bins of 2^shift; what is pending is exact."""
        if shift <= self.shift or not self.values.size:
            return replace(self, shift=max(shift, self.shift))
        values = self.values >> (shift - self.shift)
        first = np.flatnonzero(np.diff(values, prepend=values[0] - 1))
        counts = np.add.reduceat(self.counts, first)
        return replace(self, values=values[first], counts=counts, shift=shift)

    def widened(self) -> "Multiset":
        """Bits of float32 magnitudes as those of the same values in float64."""
        shift = self.shift + _WIDER if self.shift else 0  # a bin of float32 is one of float64
        values = _widened(self.values << self.shift) >> shift
        return replace(self, pending=tuple(map(_widened, self.pending)), values=values, shift=shift)

    def __len__(self) -> int:
        return int(self.counts.sum()) + sum(p.size for p in self.pending)

    def largest(self, k: int) -> tuple[int, int, int]:
        """The bin (low, high] of the k-th largest, k from 1, and how many are above its low end.

        It is of the value alone, high - low = 1, where the table is exact.
        """
        if not self.values.size and not self.shift:  # one order statistic does not need a sort
            bits = np.concatenate(self.pending)
            at = bits.size - k
            value = int(np.partition(bits, at)[at])
            return value - 1, value, int(np.count_nonzero(bits >= value))
        table = self.compact()
        from_top = np.cumsum(table.counts[::-1])
        at = int(np.searchsorted(from_top, k))
        low = int(table.values[::-1][at]) << table.shift
        return low - 1, low - 1 + (1 << table.shift), int(from_top[at])


def _tabulate(bits: Bits) -> tuple[Bits, Bits]:
    span = int(bits.max()) - int(bits.min()) + 1 if bits.size else 0
    if span > 4 * bits.size:
        return np.unique(bits, return_counts=True)
    if not span:
        return bits, np.empty(0, np.int64)
    counts = np.bincount(bits - bits.min(), minlength=span)  # a narrow bracket needs no sort
    present = np.flatnonzero(counts)
    return present + int(bits.min()), counts[present]


def _merge(left: Multiset, right: Multiset) -> Multiset:
    """The tables of both, in bins that the left one has room for; the left one's pending."""
    shift = max(left.shift, right.shift)
    one, other = left.coarser(shift), right.coarser(shift)
    if not one.values.size:
        merged = replace(one, values=other.values, counts=other.counts)
    elif not other.values.size:
        merged = one
    else:
        values, where = np.unique(np.concatenate([one.values, other.values]), return_inverse=True)
        counts = np.zeros(values.size, np.int64)
        np.add.at(counts, where, np.concatenate([one.counts, other.counts]))
        merged = replace(one, values=values, counts=counts)
    while merged.values.size > merged.most:
        merged = merged.coarser(merged.shift + 1)
    return merged


@dataclass(frozen=True, slots=True)
class Magnitudes:
    """Facts about |δ| of K models against K brackets (low, high] of magnitude bits."""

    total: int
    runs: int
    dtype: "torch.dtype"
    above: tuple[int, ...]
    inside: tuple[Multiset, ...]

    def join(self, other: "Magnitudes") -> "Magnitudes":
        """Counts add, multisets join; in float64 where one of the two is."""
        dtype = torch.promote_types(self.dtype, other.dtype)
        left, right = self._as(dtype), other._as(dtype)
        return Magnitudes(
            self.total + other.total,
            self.runs + other.runs,
            dtype,
            tuple(a + b for a, b in zip(self.above, other.above, strict=True)),
            tuple(a.join(b) for a, b in zip(left, right, strict=True)),
        )

    def _as(self, dtype: "torch.dtype") -> tuple[Multiset, ...]:
        same = dtype == self.dtype
        return self.inside if same else tuple(m.widened() for m in self.inside)

    def close(self) -> "Magnitudes":
        """The multisets as tables."""
        inside = tuple(m.compact() for m in self.inside)
        return Magnitudes(self.total, self.runs, self.dtype, self.above, inside)


def survey_magnitudes(
    deltas: Iterable[Tensor], hint: Settled | None, runs: int, room: int | None = None
) -> Magnitudes:
    """Facts of one block; without a hint everything is inside.

    Args:
        deltas: K tensors [S], float32 or float64.
        hint: brackets of an earlier `settle_threshold`: `low` and `high`.
        runs: 0 for a whole block, else the number of sampled runs in it.
        room: bytes that the tables of one model may take; None for any.
    """
    most = _ABOVE_ALL if room is None else max(room // _ENTRY, _LEAST)
    total, above, inside = 0, list[int](), list[Multiset]()
    dtype = torch.float32
    for k, delta in enumerate(deltas):
        if hint is not None and hint.values["wide"][0]:
            delta = delta.double()
        bits = _magnitude_bits(delta)
        total, dtype = bits.size, delta.dtype
        if hint is None:
            above.append(0)
            inside.append(Multiset((bits,), most=most).tidied())
            continue
        low, high = _bracket_of(hint, k, dtype)
        over_high, over_low = bits > high, bits > low
        above.append(int(np.count_nonzero(over_high)))
        where = np.flatnonzero(np.not_equal(over_low, over_high, out=over_low))
        inside.append(Multiset((bits.take(where),), most=most).tidied())
    return Magnitudes(total, runs, dtype, tuple(above), tuple(inside))


def _magnitude_bits(delta: Tensor) -> npt.NDArray[np.signedinteger]:
    # NumPy on the CPU: its comparisons and selections are five times faster than torch's there.
    integer = torch.int64 if delta.dtype == torch.float64 else torch.int32
    return to_numpy(delta.abs().view(integer).reshape(-1).cpu())


def _widened(bits: Bits) -> Bits:
    return bits.astype(np.int32).view(np.float32).astype(np.float64).view(np.int64)


def _bracket_of(hint: Settled | None, k: int, dtype: "torch.dtype") -> tuple[int, int]:
    """The bracket that a survey was given, in the bits of `dtype`."""
    if hint is None:
        return -1, _ABOVE_ALL
    ends = int(hint.values["low"][k]), int(hint.values["high"][k])
    if hint.values["wide"][0] or dtype != torch.float64:
        return ends
    wide = _widened(np.clip(np.array(ends), 0, 2**31 - 1))
    return (
        int(wide[0]) if ends[0] >= 0 else -1,
        int(wide[1]) if ends[1] < 2**31 else _ABOVE_ALL,
    )


def _value(bits: int, dtype: "torch.dtype") -> float:
    integer = torch.int64 if dtype == torch.float64 else torch.int32
    return torch.tensor([bits], dtype=integer).view(dtype).item()


def settle_threshold(
    facts: Magnitudes, hint: Settled | None, density_K: Sequence[float]
) -> Settled:
    """The exact threshold per model, or brackets for one more survey.

    The threshold is the k-th largest magnitude, `k = max(1, floor(density · total))`; every
    magnitude at least as large is kept, so ties at the threshold are all kept.

    Args:
        facts: of all elements, or of a sample (then `facts.runs` > 0).
        hint: what the survey was given.
        density_K: the fraction to keep, one per model.

    Returns:
        Final: `threshold`, K numbers, and the report `kept` (counts) and `total`.
        Else: `low` and `high`, K whole numbers, and `wide`, whether they are float64's bits.
    """
    lows, highs, kept = list[int](), list[int](), list[int]()
    for k, density in enumerate(density_K):
        rank = min(max(1, int(density * facts.total)), facts.total)
        low, high = _bracket_of(hint, k, facts.dtype)
        inside, above = facts.inside[k], facts.above[k]
        if not facts.total:
            low, high = -1, 0
            kept.append(0)
        elif facts.runs:
            low, high = _bracket(inside, facts.total, facts.runs, rank)
        elif above >= rank:  # the threshold lies above the bracket
            low, high = high, high + 8 * (high - low)
        elif above + len(inside) < rank:  # it lies below
            low, high = max(low - 8 * (high - low), -1), low
        else:
            low, high, count = inside.largest(rank - above)
            if high - low == 1:
                kept.append(above + count)
        lows.append(low)
        highs.append(min(high, _ABOVE_ALL))
    if len(kept) == len(density_K):
        threshold = tuple(_value(high, facts.dtype) for high in highs)
        report = {"kept": kept, "total": facts.total, "threshold": threshold}
        return Settled({"threshold": threshold}, report)
    wide = (float(facts.dtype == torch.float64),)
    return Settled({"low": tuple(lows), "high": tuple(highs), "wide": wide}, final=False)


def _bracket(sample: Multiset, total: int, runs: int, rank: int) -> tuple[int, int]:
    # Six standard errors of a quantile, a run of neighbours counting as four observations.
    q = rank / total
    margin = math.ceil(6 * math.sqrt(q * (1 - q) / min(4 * runs, total)) * total) + 1
    low = sample.largest(min(rank + margin, total))[0] if rank + margin < total else -1
    high = sample.largest(rank - margin)[1] if rank > margin else _ABOVE_ALL
    return low, high


def trim(delta: Tensor, threshold: float) -> Tensor:
    """`delta` where `|delta| >= threshold`, else 0; delta itself where nothing is trimmed."""
    if threshold <= 0:
        return delta
    below = torch.tensor(threshold, dtype=delta.dtype)
    if below.item() >= threshold:  # a float64 threshold may lie above its float32
        below = torch.nextafter(below, torch.tensor(0, dtype=delta.dtype))
    return torch.nn.functional.hardshrink(delta, below.item())
