"""Where merged bytes go other than a file: memory, or a comparison with what is there already."""

import threading
from collections.abc import Iterable, Mapping
from typing import Protocol

import torch
from torch import Tensor

from ..checkpoints.entry import Checkpoint
from ..checkpoints.writing.journal import Record
from ..errors import OutputError
from ..recipes.assignment import Assignment
from .rows import raw_bytes


class Sink(Protocol):
    """What the engine writes to; called from many threads."""

    @property
    def done(self) -> Mapping[str, Record]:
        """Records of tensors that need not be made again."""
        ...

    def write(self, name: str, offset: int, data: memoryview) -> None:
        """Bytes of a tensor at `offset` within it."""
        ...

    def read(self, name: str, offset: int, buffer: memoryview) -> None:
        """Bytes of a finished tensor, from `offset` within it."""
        ...

    def finish(self, records: Iterable[Record]) -> None:
        """Tensors whose last byte was written."""
        ...


class MemorySink:
    """Collects the merged state dict."""

    def __init__(self, assignments: Iterable[Assignment]) -> None:
        self.done: Mapping[str, Record] = {}
        self.state: dict[str, Tensor] = {
            a.name: torch.empty(a.stored_shape, dtype=a.stored_dtype) for a in assignments
        }

    def write(self, name: str, offset: int, data: memoryview) -> None:
        """Copy into the tensor's memory."""
        raw_bytes(self.state[name].view(-1))[offset : offset + len(data)] = data

    def read(self, name: str, offset: int, buffer: memoryview) -> None:
        """Copy from the tensor's memory."""
        buffer[:] = raw_bytes(self.state[name].view(-1))[offset : offset + len(buffer)]

    def finish(self, records: Iterable[Record]) -> None:
        """Nothing to record."""


class CompareSink:
    """Compares a repeated merge with the tensors of an existing output, byte by byte."""

    def __init__(self, existing: Checkpoint) -> None:
        self.done: Mapping[str, Record] = {}
        self._existing = existing
        self._lock = threading.Lock()
        self.different: set[str] = set()

    def write(self, name: str, offset: int, data: memoryview) -> None:
        """Note the tensor if its bytes differ."""
        entry = self._existing.entries.get(name)
        if entry is None or offset + len(data) > entry.nbytes:
            same = False
        else:
            there = bytearray(len(data))
            entry.source.read_into(memoryview(there), entry.offset + offset)
            same = memoryview(there) == data
        if not same:
            with self._lock:
                self.different.add(name)

    def read(self, name: str, offset: int, buffer: memoryview) -> None:
        """What the output holds, which was compared."""
        entry = self._existing.entries.get(name)
        if entry is None or offset + len(buffer) > entry.nbytes:
            raise OutputError(f"'{name}' is not what the merge makes: its bytes are not all there.")
        entry.source.read_into(buffer, entry.offset + offset)

    def finish(self, records: Iterable[Record]) -> None:
        """Nothing to record."""
