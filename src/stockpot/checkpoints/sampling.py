"""Some entries of some tensors, read by position: what can be told without a pass over weights."""

import math
from collections.abc import Sequence
from typing import TypeVar

import torch
from torch import Tensor

from .entry import TensorEntry

TENSORS, ELEMENTS = 64, 4096
T = TypeVar("T")


def thinned(tensors: Sequence[T]) -> Sequence[T]:
    """At most 64 of them, evenly.

    Example:
        >>> len(thinned(range(64))), list(thinned(range(65)))[:3]
        (64, [0, 2, 4])
    """
    return tensors[:: max(1, math.ceil(len(tensors) / TENSORS))]


def sample(entry: TensorEntry) -> Tensor:
    """The middle 4096 entries of a tensor, or all where it has fewer, as float64."""
    count = min(entry.numel, ELEMENTS)
    raw = bytearray(count * entry.dtype.itemsize)
    start = (entry.numel - count) // 2 * entry.dtype.itemsize
    entry.source.read_into(memoryview(raw), entry.offset + start)
    return torch.frombuffer(raw, dtype=entry.dtype).double() if raw else torch.zeros(0)
