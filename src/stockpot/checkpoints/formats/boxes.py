"""A tensor whose parts lie in several places: boxes of it, each contiguous where it is."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..source import Source

Elements = NDArray[np.void]


@dataclass(frozen=True, slots=True)
class Box:
    """A part of a tensor.

    Attributes:
        starts: its first index in each dimension.
        sizes: of its dimensions.
        source, offset: where its elements lie, in its own order.
    """

    starts: tuple[int, ...]
    sizes: tuple[int, ...]
    source: Source
    offset: int


def are_a_cover(shape: tuple[int, ...], boxes: Sequence[Box]) -> bool:
    """Whether every element of a tensor is in exactly one box."""
    starts = np.array([one.starts for one in boxes], np.int64).reshape(len(boxes), len(shape))
    ends = starts + np.array([one.sizes for one in boxes], np.int64).reshape(starts.shape)
    if (starts < 0).any() or (ends > np.array(shape, np.int64)).any():
        return False
    if sum(math.prod(one.sizes) for one in boxes) != math.prod(shape):
        return False
    full = [index for index, one in enumerate(boxes) if math.prod(one.sizes)]
    for at, index in enumerate(full):
        others = full[at + 1 :]
        apart = (starts[others] >= ends[index]) | (ends[others] <= starts[index])
        if not apart.any(axis=1).all():
            return False
    return True


class BoxedSource:
    """The bytes of such a tensor in the order of its elements.

    Args:
        boxes: that cover it, each element once.
        itemsize: bytes of one element.
        shape: of the tensor, of one dimension or more.
    """

    def __init__(self, boxes: Sequence[Box], itemsize: int, shape: tuple[int, ...]) -> None:
        self._boxes, self._item, self._shape = boxes, np.dtype(f"V{itemsize}"), shape

    def read_into(self, buffer: memoryview, offset: int) -> None:
        """Fill `buffer` from byte `offset` of the contiguous form."""
        first, skipped = divmod(offset, self._item.itemsize)
        count = -(-(skipped + len(buffer)) // self._item.itemsize)
        elements = np.empty(count, self._item)
        self._fill(elements, first, ())
        buffer[:] = elements.view(np.uint8).data[skipped : skipped + len(buffer)]

    def _fill(self, out: Elements, first: int, above: tuple[int, ...]) -> None:
        """`len(out)` elements from the `first` on of the part with the leading indices `above`."""
        rest = self._shape[len(above) + 1 :]
        row_size = math.prod(rest)
        done = 0
        while done < len(out):
            row, within = divmod(first + done, row_size)
            left = len(out) - done
            if within == 0 and left >= row_size:
                count = left // row_size * row_size
                self._gather(out[done : done + count].reshape(-1, *rest), above, row)
            else:
                count = min(row_size - within, left)
                self._fill(out[done : done + count], within, (*above, row))
            done += count

    def _gather(self, block: Elements, above: tuple[int, ...], row: int) -> None:
        """Whole rows from `row` on, of each box what it has of them."""
        depth = len(above)
        for box in self._boxes:
            inside = [index - start for index, start in zip(above, box.starts, strict=False)]
            if any(not 0 <= i < n for i, n in zip(inside, box.sizes, strict=False)):
                continue
            begin = max(row, box.starts[depth])
            end = min(row + len(block), box.starts[depth] + box.sizes[depth])
            part = (end - begin, *box.sizes[depth + 1 :])
            if end <= begin or not math.prod(part):
                continue
            place = 0
            for i, n in zip([*inside, begin - box.starts[depth]], box.sizes, strict=False):
                place = place * n + i
            place *= math.prod(part[1:])
            raw = np.empty(part, self._item)
            view = raw.reshape(-1).view(np.uint8).data
            box.source.read_into(view, box.offset + place * self._item.itemsize)
            spans = zip(box.starts[depth + 1 :], part[1:], strict=True)
            where = (slice(begin - row, end - row), *(slice(s, s + n) for s, n in spans))
            block[where] = raw
