"""Rows of a tensor in another order, with columns in another order, and rows that are made.

A tensor is seen as [rows, columns, inner]: what lies in `inner` moves together.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from ...checkpoints.entry import TensorEntry
from ...ops.rounding import rounded
from .base import ComputedSource, read_flat

SPAN = 2**18
"""Elements of a row that are read at once for columns that lie apart."""
MADE = -1
"""In an index: what is made, and not taken from the tensor."""
Filling = Literal["zero", "mean", "base"]


@dataclass(frozen=True, slots=True)
class Layout:
    """How a tensor's elements are taken.

    Attributes:
        columns, inner: of the tensor as it is stored.
        rows: for each row of the result, its number in the tensor, or MADE. int64.
        moved: for each column of the result, its number in the tensor, or MADE; None for the
            columns as they are. int64.
    """

    columns: int
    inner: int
    rows: Tensor
    moved: Tensor | None = None

    @property
    def width(self) -> int:
        """Elements of a row of the result."""
        return (self.columns if self.moved is None else len(self.moved)) * self.inner


class Rows(ComputedSource):
    """Elements of one tensor in another order, bit for bit.

    Args:
        entry: the tensor.
        layout: which of its elements lie where.
        filling: what rows that are made hold: zeros, the mean of all rows of the tensor (summed in
            float64 and rounded once), or the base's row of the same number. Columns that are made
            are zeros.
        base: the base's tensor, of rows as wide as the result's.
    """

    def __init__(
        self,
        entry: TensorEntry,
        layout: Layout,
        filling: Filling = "zero",
        base: TensorEntry | None = None,
    ) -> None:
        super().__init__(entry.dtype)
        self._entry, self._layout = entry, layout
        self._filling, self._base = filling, base
        self._mean: Tensor | None = None

    def fill(self, out: Tensor, start: int) -> None:
        """Row by row; rows that follow one another in the tensor are read at once."""
        width = self._layout.width
        for first, count, begin, end in _pieces(start, start + len(out), width):
            piece = out[first * width + begin - start :][: (count - 1) * width + end - begin]
            if count == 1:
                self._segment(piece, first, begin, end)
                continue
            for run, rows in _runs(list(map(int, self._layout.rows[first : first + count]))):
                into = piece[run * width : (run + rows) * width]
                number = int(self._layout.rows[first + run])
                if number != MADE and self._layout.moved is None:
                    read_flat(self._entry, number * width, into)
                else:
                    for k in range(rows):
                        into_row = into[k * width : (k + 1) * width]
                        self._segment(into_row, first + run + k, 0, width)

    def _segment(self, out: Tensor, row: int, begin: int, end: int) -> None:
        """Elements [begin, end) of one row of the result."""
        number, layout = int(self._layout.rows[row]), self._layout
        if number == MADE:
            self._make(out, row, begin, end)
        elif layout.moved is None:
            read_flat(self._entry, number * layout.width + begin, out)
        else:
            self._moved(out, number, layout.moved, begin, end)

    def _moved(self, out: Tensor, row: int, moved: Tensor, begin: int, end: int) -> None:
        """Of columns that lie in another order, so few at a time that what they span is little."""
        inner, at = self._layout.inner, row * self._layout.columns * self._layout.inner
        low, high = begin // inner, -(-end // inner)
        taken = moved[low:high]
        there = taken[taken != MADE]
        if not len(there):
            out.zero_()
            return
        first, last = int(there.min()), int(there.max())
        if (last + 1 - first) * inner > SPAN and high - low > 1:
            half = (low + high) // 2 * inner
            self._moved(out[: half - begin], row, moved, begin, half)
            self._moved(out[half - begin :], row, moved, half, end)
            return
        if high - low == 1:
            read_flat(self._entry, at + first * inner + begin - low * inner, out)
            return
        span = torch.empty((last + 1 - first) * inner, dtype=self.dtype)
        read_flat(self._entry, at + first * inner, span)
        cells = span.view(-1, inner)[(taken - first).clamp_(min=0)]
        cells[taken == MADE] = 0
        out.copy_(cells.view(-1)[begin - low * inner :][: len(out)])

    def _make(self, out: Tensor, row: int, begin: int, end: int) -> None:
        if self._filling == "zero":
            out.zero_()
        elif self._filling == "base":
            assert self._base is not None
            flat = torch.empty(end - begin, dtype=self._base.dtype)
            read_flat(self._base, row * self._layout.width + begin, flat)
            out.copy_(rounded(flat, self.dtype))
        else:
            out.copy_(self._mean_row()[begin:end])

    def _mean_row(self) -> Tensor:
        """The mean of all rows, computed once; the only thing for which all rows are read."""
        if self._mean is None:
            self._mean = rounded(mean_of_rows(self._entry, self._layout.width), self.dtype)
        return self._mean


def mean_of_rows(entry: TensorEntry, width: int) -> Tensor:
    """The mean over the first dimension, flat, in float64: halves added to halves, in one order."""
    numel, step = entry.numel, max(SPAN // max(width, 1), 1) * width
    total = torch.zeros(width, dtype=torch.float64)
    for start in range(0, numel, max(step, 1)):
        rows = torch.empty(min(step, numel - start), dtype=entry.dtype)
        read_flat(entry, start, rows)
        part = rows.double().view(-1, width)
        while len(part) > 1:
            half = len(part) // 2
            odd = part[2 * half :]
            part = torch.cat([part[:half] + part[half : 2 * half], odd])
        total += part[0]
    return total / math.prod(entry.shape[:1])


def _pieces(start: int, stop: int, width: int) -> Iterator[tuple[int, int, int, int]]:
    """Whole rows together, and the parts of rows at both ends: first row, rows, begin, end."""
    while start < stop:
        row, begin = divmod(start, width)
        whole = (stop - start) // width if begin == 0 else 0
        count, end = (whole, width) if whole else (1, min(width, begin + stop - start))
        yield row, count, begin, end
        start = (row + count - 1) * width + end


def _runs(numbers: list[int]) -> Iterator[tuple[int, int]]:
    """Where rows follow one another: the first, and how many."""
    first = 0
    for k in range(1, len(numbers) + 1):
        before = numbers[k - 1]
        if k == len(numbers) or before == MADE or numbers[k] != before + 1:
            yield first, k - first
            first = k
