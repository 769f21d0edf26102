"""A tensor that does not lie contiguously in its file (transposed, channels-last, expanded),
read as if it did, in memory of the order of what is asked for.
"""

import math

import numpy as np
from numpy.lib.stride_tricks import as_strided
from numpy.typing import NDArray

from ..source import Source

Elements = NDArray[np.void]

SPARSE = 4
"""One read may bring at most this many times what it is for ..."""
SMALL = 2**14
"""... or this many elements; else the tensor is read plane by plane."""


class StridedSource:
    """The bytes of a strided tensor in the order of its elements.

    Args:
        source: where its storage lies.
        start: byte of its first element there.
        itemsize: bytes of one element.
        shape: sizes of its dimensions.
        strides: steps of its dimensions, in elements.
    """

    def __init__(
        self,
        source: Source,
        start: int,
        itemsize: int,
        shape: tuple[int, ...],
        strides: tuple[int, ...],
    ) -> None:
        self._source, self._start, self._item = source, start, np.dtype(f"V{itemsize}")
        self._shape, self._strides = shape, strides

    def read_into(self, buffer: memoryview, offset: int) -> None:
        """Fill `buffer` from byte `offset` of the contiguous form."""
        first, skipped = divmod(offset, self._item.itemsize)
        count = -(-(skipped + len(buffer)) // self._item.itemsize)
        elements = np.empty(count, self._item)
        self._fill(elements, first, self._shape, self._strides, 0)
        buffer[:] = elements.view(np.uint8).data[skipped : skipped + len(buffer)]

    def _fill(
        self,
        out: Elements,
        first: int,
        shape: tuple[int, ...],
        strides: tuple[int, ...],
        base: int,
    ) -> None:
        """`len(out)` elements from the `first` on, of the part of the tensor at `base`."""
        row_size = math.prod(shape[1:])
        done = 0
        while done < len(out):
            row, within = divmod(first + done, row_size)
            at, left = base + row * strides[0], len(out) - done
            if within == 0 and left >= row_size:
                count = left // row_size * row_size
                block = out[done : done + count].reshape(-1, *shape[1:])
                self._gather(block, strides, at)
            else:
                count = min(row_size - within, left)
                self._fill(out[done : done + count], within, shape[1:], strides[1:], at)
            done += count

    def _gather(self, block: Elements, strides: tuple[int, ...], base: int) -> None:
        """A whole box of elements, in one read where they lie densely enough."""
        steps = [(size - 1) * stride for size, stride in zip(block.shape, strides, strict=True)]
        span = 1 + sum(steps)
        if span <= max(SPARSE * block.size, SMALL):
            raw = np.empty(span, self._item)
            self._source.read_into(raw.view(np.uint8).data, self._start + base * raw.itemsize)
            block[...] = as_strided(raw, block.shape, [s * raw.itemsize for s in strides])
            return
        axis = steps.index(max(steps))
        for i in range(block.shape[axis]):
            plane = block[(slice(None),) * axis + (slice(i, i + 1),)]
            self._gather(plane, strides, base + i * strides[axis])
