"""Where merged bytes go other than a file: memory, or a comparison with what is there already.

A sink has two halves. Its target is with the workers, which put bytes there; it pickles. The rest
is with the driver, which is told what comes of that and keeps the books.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from ..checkpoints.entry import Checkpoint
from ..checkpoints.writing.journal import Record
from ..errors import OutputError
from ..recipes.resolving.assignment import Assignment
from .rows import raw_bytes


class Target(Protocol):
    """What workers write to; called from many threads, and in other processes."""

    def write(self, name: str, offset: int, data: memoryview) -> object:
        """Bytes of a tensor at `offset` within it; gives what the driver must know, else None."""
        ...


class Sink(Protocol):
    """What the driver of a merge has of an output; called from one thread."""

    @property
    def done(self) -> Mapping[str, Record]:
        """Records of tensors that need not be made again."""
        ...

    @property
    def target(self) -> Target:
        """What workers write to."""
        ...

    def take(self, name: str, offset: int, kept: object) -> None:
        """What the target gave of some bytes of a tensor."""
        ...

    def read(self, name: str, offset: int, buffer: memoryview) -> None:
        """Bytes of a finished tensor, from `offset` within it."""
        ...

    def finish(self, records: Iterable[Record]) -> None:
        """Tensors whose last byte was written."""
        ...


class MemorySink:
    """Collects the merged state dict, and what methods give beside it."""

    def __init__(self, assignments: Iterable[Assignment]) -> None:
        self.done: Mapping[str, Record] = {}
        self.state: dict[str, Tensor] = {}
        self.extras: dict[str, Tensor] = {}
        for a in assignments:
            self.state[a.name] = torch.empty(a.stored_shape, dtype=a.stored_dtype)
            for placed in a.extras:
                extra = placed.extra
                self.extras[placed.key] = torch.empty(extra.shape, dtype=extra.dtype)
        self.target = _Memory({**self.state, **self.extras})

    def take(self, name: str, offset: int, kept: object) -> None:
        """Bytes that were merged in another process."""
        if isinstance(kept, bytes):
            self.target.write(name, offset, memoryview(kept))

    def read(self, name: str, offset: int, buffer: memoryview) -> None:
        """Copy from the tensor's memory."""
        buffer[:] = raw_bytes(self.state[name].view(-1))[offset : offset + len(buffer)]

    def finish(self, records: Iterable[Record]) -> None:
        """Nothing to record."""


class _Memory:
    """The tensors themselves; in another process, which does not have them, bytes on their way."""

    def __init__(self, state: Mapping[str, Tensor]) -> None:
        self._state = state

    def __reduce__(self) -> "tuple[type[_Carried], tuple[()]]":
        return _Carried, ()

    def write(self, name: str, offset: int, data: memoryview) -> None:
        """Copy into the tensor's memory."""
        raw_bytes(self._state[name].view(-1))[offset : offset + len(data)] = data


class _Carried:
    def write(self, name: str, offset: int, data: memoryview) -> bytes:  # noqa: ARG002
        """The bytes themselves, for the driver to put where they belong."""
        return bytes(data)


class CompareSink:
    """Compares a repeated merge with the tensors of an existing output, byte by byte."""

    def __init__(self, existing: Checkpoint) -> None:
        self.done: Mapping[str, Record] = {}
        self._existing = existing
        self.target = _Compared(existing)
        self.different: set[str] = set()

    def take(self, name: str, offset: int, kept: object) -> None:  # noqa: ARG002
        """Note the tensor if bytes of it differ."""
        if kept is not None:
            self.different.add(name)

    def read(self, name: str, offset: int, buffer: memoryview) -> None:
        """What the output holds, which was compared."""
        entry = self._existing.entries.get(name)
        if entry is None or offset + len(buffer) > entry.nbytes:
            raise OutputError(f"'{name}' is not what the merge makes: its bytes are not all there.")
        entry.source.read_into(buffer, entry.offset + offset)

    def finish(self, records: Iterable[Record]) -> None:
        """Nothing to record."""


@dataclass(frozen=True, slots=True)
class _Compared:
    existing: Checkpoint

    def write(self, name: str, offset: int, data: memoryview) -> str | None:
        """The tensor's name where its bytes are others."""
        entry = self.existing.entries.get(name)
        if entry is None or offset + len(data) > entry.nbytes:
            return name
        there = bytearray(len(data))
        entry.source.read_into(memoryview(there), entry.offset + offset)
        return None if memoryview(there) == data else name
