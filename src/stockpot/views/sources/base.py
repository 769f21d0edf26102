"""What computed tensors have in common: elements are asked for by position, and written in place.

A source holds no descriptor, thread or lock of its own, so that it is pickled with the files it
reads, which are opened again by their paths.
"""

from abc import ABC, abstractmethod

import torch
from torch import Tensor

from ...checkpoints.entry import TensorEntry
from ...typed import to_numpy

CHUNK = 2**15
"""Elements computed at a time, where a view needs no other tiles."""


class ComputedSource(ABC):
    """A source whose elements are computed when they are read.

    The bits of an element do not depend on what else is asked for with it.
    """

    def __init__(self, dtype: torch.dtype) -> None:
        self.dtype = dtype

    @abstractmethod
    def fill(self, out: Tensor, start: int) -> None:
        """Write the elements from `start` on into `out`, flat, in the source's dtype."""

    def read_into(self, buffer: memoryview, offset: int) -> None:
        """Fill `buffer` from byte `offset` of the computed tensor."""
        item = self.dtype.itemsize
        if offset % item == 0 and len(buffer) % item == 0:
            if len(buffer):
                self.fill(torch.frombuffer(buffer, dtype=self.dtype), offset // item)
            return
        first, last = offset // item, -(-(offset + len(buffer)) // item)
        done, skipped = 0, offset - first * item
        for start in range(first, last, CHUNK):
            raw = bytearray((min(start + CHUNK, last) - start) * item)
            self.fill(torch.frombuffer(raw, dtype=self.dtype), start)
            data = memoryview(raw)[skipped:][: len(buffer) - done]
            buffer[done : done + len(data)] = data
            done, skipped = done + len(data), 0


def read_elements(entry: TensorEntry, start: int, stop: int) -> Tensor:
    """Elements [start, stop) of a tensor, flat, in memory of their own."""
    out = torch.empty(stop - start, dtype=entry.dtype)
    read_flat(entry, start, out)
    return out


def read_flat(entry: TensorEntry, start: int, out: Tensor) -> None:
    """The elements of a tensor from `start` on into `out`: flat, contiguous, of its dtype."""
    if out.numel():
        raw = to_numpy(out.view(torch.uint8)).data
        entry.source.read_into(raw, entry.offset + start * entry.dtype.itemsize)
