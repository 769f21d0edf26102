"""A worker's buffer, and the rows of a block as methods see them.

Raw bytes of all models lie in the arena; a row is turned to float32 (float64 where an input is)
only when a method asks for it, and is checked for NaN and infinity on the way.
"""

import math
from collections.abc import Callable, Sequence
from functools import reduce
from typing import overload

import blake3
import torch
from torch import Tensor

from ..checkpoints.entry import TensorEntry
from ..recipes.resolving.assignment import Beside
from ..typed import to_numpy

ALIGN = 64


class Arena:
    """One worker's memory, handed out from the start for each piece and used again for the next."""

    def __init__(self, size: int, *, pinned: bool = False) -> None:
        self._bytes = torch.empty(size + ALIGN, dtype=torch.uint8, pin_memory=pinned)
        self._used = 0

    def clear(self) -> None:
        """Forget what was handed out."""
        self._used = 0

    def take(self, numel: int, dtype: torch.dtype) -> Tensor:
        """A flat tensor over the next bytes; its contents are whatever was there."""
        start = self._used
        stop = start + numel * dtype.itemsize
        self._used = stop + -stop % ALIGN
        return self._bytes[start:stop].view(dtype)


def raw_bytes(flat: Tensor) -> memoryview:
    """The memory of a flat tensor on the CPU."""
    return to_numpy(flat.view(torch.uint8)).data if flat.numel() else memoryview(bytearray())


class ElementBytes:
    """The memory of a flat tensor, sliced by elements; made once, for making it is what costs."""

    def __init__(self, flat: Tensor) -> None:
        self._bytes, self._size = raw_bytes(flat), flat.dtype.itemsize

    def __getitem__(self, elements: slice) -> memoryview:
        return self._bytes[elements.start * self._size : elements.stop * self._size]


def is_finite(values: Tensor) -> bool:
    """Whether every element is finite.

    A sum is not finite if an element is not, and takes a thirtieth of the time of isfinite; one
    that overflows by itself is looked at again.
    """
    sums = (
        values if values.dtype in (torch.float32, torch.float64, torch.bfloat16) else values.float()
    )
    return math.isfinite(sums.sum().item()) or bool(torch.isfinite(sums).all())


class OnDisk:
    """A row that is read whenever it is asked for, into new memory; hashed the first time."""

    def __init__(self, entry: TensorEntry, *, digests: bool) -> None:
        self._entry, self._wanted = entry, digests
        self._digest: str | None = None
        self.dtype = entry.dtype

    def read(self) -> Tensor:
        """All of it, flat, in the stored dtype."""
        flat = torch.empty(self._entry.numel, dtype=self.dtype)
        data = raw_bytes(flat)
        self._entry.source.read_into(data, self._entry.offset)
        if self._wanted and self._digest is None:
            self._digest = blake3.blake3(data).hexdigest()
        return flat

    def digest(self) -> str | None:
        """Of its bytes, where that is wanted; a row that nobody asked for is read for it."""
        if self._wanted and self._digest is None:
            self.read()
        return self._digest


Row = Tensor | OnDisk
"""A row in the arena, or one that is read when it is asked for."""
Watch = Callable[[int, Tensor], None]
"""Looks at each row that is asked for, known by its index."""


def of_row(one: Beside, row: int) -> TensorEntry:
    """The tensor of a row, where sources come before the base."""
    entry = one.sources[row] if row < len(one.sources) else one.base
    assert entry is not None
    return entry


class Joined:
    """Rows end to end as one, put together whenever it is asked for, in new memory."""

    def __init__(self, parts: Sequence[Row]) -> None:
        self._parts = parts
        dtypes = [part.dtype for part in parts]
        self.dtype = reduce(torch.promote_types, dtypes)
        self.coarsest = max(dtypes, key=lambda dtype: torch.finfo(dtype).eps)

    def read(self) -> Tensor:
        """All of it, flat."""
        return torch.cat([p.read() if isinstance(p, OnDisk) else p for p in self._parts])


def stored_dtype(row: Row | Joined) -> torch.dtype:
    """In what a row is stored; of several end to end the dtype with the largest steps."""
    return row.coarsest if isinstance(row, Joined) else row.dtype


class Rows(Sequence[Tensor]):
    """Lazy rows of one block: converted when asked for, never kept.

    Args:
        raw: one flat tensor per row, in the arena; or what reads it.
        shape: the shape that a method sees.
        watch: called with a row's index and the row as it is asked for; None where nobody looks.
        first: the index of the first row, where these are some of a block's.
    """

    def __init__(
        self,
        raw: Sequence[Row | Joined],
        dtype: torch.dtype,
        device: torch.device,
        shape: Sequence[int],
        watch: Watch | None,
        first: int = 0,
    ) -> None:
        self._raw, self.dtype, self._device = raw, dtype, device
        self._shape, self._watch, self._first = shape, watch, first

    def __len__(self) -> int:
        return len(self._raw)

    @property
    def fresh(self) -> bool:
        """Whether every row is new memory each time that it is asked for."""
        return all(
            not isinstance(row, Tensor) or row.dtype != self.dtype or row.device != self._device
            for row in self._raw
        )

    @overload
    def __getitem__(self, index: int) -> Tensor: ...
    @overload
    def __getitem__(self, index: slice) -> "Rows": ...
    def __getitem__(self, index: int | slice) -> "Tensor | Rows":
        if isinstance(index, slice):
            return Rows(
                self._raw[index],
                self.dtype,
                self._device,
                self._shape,
                self._watch,
                self._first + index.indices(len(self))[0],
            )
        raw = self._raw[index]
        flat = raw if isinstance(raw, Tensor) else raw.read()
        # torch would convert first, on this side, and wait for it
        row = flat.to(self._device, non_blocking=True).to(self.dtype).view(self._shape)
        if self._watch is not None:
            self._watch(self._first + range(len(self))[index], row)
        return row
