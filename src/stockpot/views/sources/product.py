"""`base + scale · B A`, computed tile by tile, so that no slicing changes a bit.

A matrix product of fewer rows comes out in other bits than one of more, because libraries choose
other orders of adding. So the result is cut into tiles of one shape, which depends on its own shape
alone; whoever asks for a part of a tile gets it from the product of the whole tile, padded with
zeros at the edges, with the full inner dimension, in float64 and on one thread.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from ...checkpoints.entry import TensorEntry
from ...running.executor import one_thread
from .base import CHUNK, ComputedSource, read_flat

TILE = 2**16
"""Elements of a tile, about."""
TILE_COLUMNS = 1024
STRIP = 2**18
"""Elements of a factor that are held for one tile, at most; but for one of that many rows."""


@dataclass(frozen=True, slots=True)
class Matrix:
    """A stored tensor seen as a matrix [rows, columns], or its transpose."""

    entry: TensorEntry
    rows: int
    columns: int
    is_transposed: bool = False

    @property
    def transposed(self) -> "Matrix":
        """The transpose, without a copy."""
        return Matrix(self.entry, self.columns, self.rows, not self.is_transposed)

    def read_block(self, out: Tensor, row: int, column: int) -> None:
        """Into `out`, float64, what of it lies in the matrix from there on; the rest stays."""
        if self.is_transposed:
            self.transposed.read_block(out.mT, column, row)
            return
        height = min(out.shape[0], self.rows - row)
        width = min(out.shape[1], self.columns - column)
        if width == self.columns:
            flat = torch.empty(height * width, dtype=self.entry.dtype)
            read_flat(self.entry, row * width, flat)
            out[:height, :width] = flat.view(height, width)
            return
        line = torch.empty(width, dtype=self.entry.dtype)
        for k in range(height):
            read_flat(self.entry, (row + k) * self.columns + column, line)
            out[k, :width] = line


class Product(ComputedSource):
    """`base + scale · left @ right`, rounded once.

    Args:
        base: of M · N elements, float.
        left: [M, R].
        right: [R, N].
        scale: what multiplies the product.
    """

    def __init__(self, base: TensorEntry, left: Matrix, right: Matrix, scale: float) -> None:
        parts = (base, left.entry, right.entry)
        wide = any(entry.dtype == torch.float64 for entry in parts)
        super().__init__(torch.float64 if wide else torch.float32)
        self._base, self._left, self._right, self._scale = base, left, right, scale
        rank = max(left.columns, 1)
        across = max(STRIP // rank // 8 * 8, 8)
        self._tile_columns = min(TILE_COLUMNS, _up(right.columns), across)
        rows = max(TILE // self._tile_columns, 8)
        self._tile_rows = min(rows, _up(left.rows), across)

    def fill(self, out: Tensor, start: int) -> None:
        """The base, and on it tile after tile what is added."""
        for at in range(0, len(out), CHUNK):
            self._widened(out[at : at + CHUNK], start + at)
        with one_thread():
            self._add(out, start)

    def _widened(self, out: Tensor, start: int) -> None:
        if self._base.dtype == self.dtype:
            read_flat(self._base, start, out)
        else:
            stored = torch.empty(len(out), dtype=self._base.dtype)
            read_flat(self._base, start, stored)
            out.copy_(stored)

    def _add(self, out: Tensor, start: int) -> None:
        width, rank = self._right.columns, self._left.columns
        high, wide = self._tile_rows, self._tile_columns
        stop = start + len(out)
        first, last = start // width, -(-stop // width)
        if last - first == 1:
            begin, end = start - first * width, stop - first * width
        else:
            begin, end = 0, width
        product = torch.empty(high, wide, dtype=torch.float64)
        for column in range(begin // wide * wide, end, wide):
            right = torch.zeros(rank, wide, dtype=torch.float64)
            self._right.read_block(right, 0, column)
            for row in range(first // high * high, last, high):
                left = torch.zeros(high, rank, dtype=torch.float64)
                self._left.read_block(left, row, 0)
                torch.mm(left, right, out=product)
                product.mul_(self._scale)
                self._onto(out, start, product, row, column)

    def _onto(self, out: Tensor, start: int, product: Tensor, row: int, column: int) -> None:
        """Add what of a tile lies in `out`: whole rows at once, the parts at both ends alone."""
        width, stop = self._right.columns, start + len(out)
        right = min(column + product.shape[1], width)
        low, high = -(-start // width), stop // width  # whole rows of what was asked for
        top, bottom = max(row, low), min(row + product.shape[0], high, self._left.rows)
        if top < bottom:
            lines = out[top * width - start :][: (bottom - top) * width].view(-1, width)
            _add_rounded(
                lines[:, column:right], product[top - row : bottom - row, : right - column]
            )
        for line in {low - 1, high}:  # both ends may lie in one row
            if not row <= line < row + product.shape[0] or (low <= line < high):
                continue
            begin = max(start, line * width + column)
            end = min(stop, line * width + right)
            if begin < end:
                at = begin - line * width - column
                _add_rounded(
                    out[begin - start : end - start], product[line - row, at:][: end - begin]
                )


def _add_rounded(into: Tensor, added: Tensor) -> None:
    into.copy_(into.double().add_(added))


def _up(size: int) -> int:
    """The next multiple of 8."""
    return max(-(-size // 8) * 8, 8)


def product(
    base: TensorEntry, left: Matrix, right: Matrix, scale: float, shape: tuple[int, ...]
) -> TensorEntry:
    """`base + scale · left @ right` under the name and as the dtype of the base."""
    source = Product(base, left, right, scale)
    return TensorEntry(
        base.name,
        source.dtype,
        shape,
        source,
        0,
        stored=base.stored_dtype,
        made_of=(base, left.entry, right.entry),
    )
