"""Tensors that are computed from stored ones whenever bytes of them are asked for.

Every element is computed in float64 and rounded once, to float32 or, where a part is float64, not
at all; so its bits do not depend on how the tensor is cut.
"""

import math
from abc import abstractmethod
from collections.abc import Iterator
from dataclasses import replace

import torch
from torch import Tensor

from ...checkpoints.entry import TensorEntry
from ...ops.rounding import copy_rounded
from .base import CHUNK, ComputedSource, read_elements


def weight_norm(size: TensorEntry, direction: TensorEntry) -> TensorEntry:
    """`g v / |v|` under the name of v."""
    return _computed(_WeightNorm(size, direction), direction, size)


def masked(weight: TensorEntry, mask: TensorEntry) -> TensorEntry:
    """`W m` under the name of W; 0 where the mask is 0, whatever lies there."""
    return _computed(_Masked(weight, mask), weight, mask)


def real_parts(entry: TensorEntry) -> TensorEntry:
    """A complex tensor as real numbers: its last dimension holds real and imaginary part."""
    real = {torch.complex32: torch.float16, torch.complex64: torch.float32}
    dtype = real.get(entry.dtype, torch.float64)
    return replace(entry, dtype=dtype, shape=(*entry.shape, 2), stored=entry.dtype)


class SliceNorms:
    """Euclidean norms of the slices of a tensor, float64: over the dimensions where g has 1.

    Args:
        shape: of the tensor.
        kept: of the norms, 1 or the tensor's size in each dimension, or () for one number.
    """

    def __init__(self, shape: tuple[int, ...], kept: tuple[int, ...]) -> None:
        self._shape, self._kept = shape, kept or (1,) * len(shape)
        self.squares = torch.zeros(math.prod(self._kept), dtype=torch.float64)

    def slices(self, start: int, stop: int) -> Tensor:
        """For elements [start, stop) of the tensor, flat, to which of the slices each belongs."""
        place, index = torch.arange(start, stop), torch.zeros(stop - start, dtype=torch.int64)
        step = 1
        for size, kept in zip(reversed(self._shape), reversed(self._kept), strict=True):
            if kept > 1:
                index += place % size * step
                step *= kept
            place = place // size
        return index

    def add(self, start: int, values: Tensor) -> None:
        """Count in some elements; always the same ones in the same order, for the same bits."""
        index = self.slices(start, start + len(values))
        squares = values.double().square()
        self.squares += torch.bincount(index, squares, minlength=len(self.squares))


def chunks(numel: int) -> Iterator[tuple[int, int]]:
    """Bounds of the chunks of so many elements."""
    return ((start, min(start + CHUNK, numel)) for start in range(0, numel, CHUNK))


class _Computed(ComputedSource):
    """A source whose elements are computed chunk by chunk."""

    @abstractmethod
    def elements(self, start: int, stop: int) -> Tensor:
        """Elements [start, stop), flat, in float64."""

    def fill(self, out: Tensor, start: int) -> None:
        """Chunk after chunk."""
        for at in range(0, len(out), CHUNK):
            part = out[at : at + CHUNK]
            copy_rounded(part, self.elements(start + at, start + at + len(part)))


class _WeightNorm(_Computed):
    def __init__(self, size: TensorEntry, direction: TensorEntry) -> None:
        super().__init__(_rounded(size, direction))
        self._size, self._direction = size, direction
        self._norms = SliceNorms(direction.shape, size.shape)
        self._factors: Tensor | None = None

    def __reduce__(self) -> "tuple[type[_WeightNorm], tuple[TensorEntry, TensorEntry]]":
        return _WeightNorm, (self._size, self._direction)

    def elements(self, start: int, stop: int) -> Tensor:
        factors = self._per_slice()
        values = read_elements(self._direction, start, stop).double()
        return values * factors[self._norms.slices(start, stop)]

    def _per_slice(self) -> Tensor:
        """`g / |v|` of each slice, computed once; two workers at once compute the same."""
        if self._factors is None:
            norms = SliceNorms(self._direction.shape, self._size.shape)
            for start, stop in chunks(self._direction.numel):
                norms.add(start, read_elements(self._direction, start, stop))
            sizes = read_elements(self._size, 0, self._size.numel).double()
            self._factors = sizes / norms.squares.sqrt()
        return self._factors


class _Masked(_Computed):
    def __init__(self, weight: TensorEntry, mask: TensorEntry) -> None:
        super().__init__(_rounded(weight, weight))
        self._weight, self._mask = weight, mask

    def elements(self, start: int, stop: int) -> Tensor:
        values = read_elements(self._weight, start, stop).double()
        mask = read_elements(self._mask, start, stop).double()
        return (values * mask).masked_fill_(mask == 0, 0.0)


def _rounded(*parts: TensorEntry) -> torch.dtype:
    return torch.float64 if any(p.dtype == torch.float64 for p in parts) else torch.float32


def _computed(source: _Computed, own: TensorEntry, other: TensorEntry) -> TensorEntry:
    return TensorEntry(
        own.name,
        source.dtype,
        own.shape,
        source,
        0,
        stored=own.dtype,
        made_of=(own, other),
        stands_for=own,
    )


def cast(entry: TensorEntry, dtype: torch.dtype) -> TensorEntry:
    """The tensor in another float dtype, each element rounded once, as if it were stored so."""
    source = _Cast(entry, dtype)
    return TensorEntry(entry.name, dtype, entry.shape, source, 0, made_of=(entry,))


class _Cast(ComputedSource):
    def __init__(self, entry: TensorEntry, dtype: torch.dtype) -> None:
        super().__init__(dtype)
        self._entry = entry

    def fill(self, out: Tensor, start: int) -> None:
        for at in range(0, len(out), CHUNK):
            part = out[at : at + CHUNK]
            values = read_elements(self._entry, start + at, start + at + len(part))
            copy_rounded(part, values)
