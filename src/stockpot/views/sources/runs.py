"""Tensors end to end as one, and one as several: bytes are read where they lie."""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import replace
from itertools import accumulate

from ...checkpoints.entry import TensorEntry


class Runs:
    """The bytes of tensors of one dtype, end to end."""

    def __init__(self, parts: Sequence[TensorEntry]) -> None:
        self._parts = [part for part in parts if part.nbytes]
        self._begins = [0, *accumulate(part.nbytes for part in self._parts)]

    def read_into(self, buffer: memoryview, offset: int) -> None:
        """Fill `buffer` from byte `offset` of the whole."""
        done, at = 0, bisect_right(self._begins, offset) - 1
        while done < len(buffer):
            part, within = self._parts[at], offset + done - self._begins[at]
            count = min(part.nbytes - within, len(buffer) - done)
            part.source.read_into(buffer[done : done + count], part.offset + within)
            done, at = done + count, at + 1


def joined(name: str, shape: tuple[int, ...], parts: Sequence[TensorEntry]) -> TensorEntry:
    """Tensors of one dtype end to end, as one of that shape."""
    first = parts[0]
    return TensorEntry(
        name, first.dtype, shape, Runs(parts), 0, stored=first.stored, made_of=tuple(parts)
    )


def part(name: str, shape: tuple[int, ...], whole: TensorEntry, start: int) -> TensorEntry:
    """Elements of a tensor from `start` on, as one of that shape."""
    offset = whole.offset + start * whole.dtype.itemsize
    return replace(whole, name=name, shape=shape, offset=offset, alias_of=None, made_of=(whole,))
