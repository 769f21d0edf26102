"""Where blocks are computed: here at once, or on a GPU that is told what to do and asked later."""

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from ...ops.rounding import copy_rounded
from ..rows import Arena

_HERE = torch.device("cpu")


class Mark(Protocol):
    """A point in what a device was told to do."""

    def wait(self) -> None:
        """Until everything before it is done."""
        ...


class Flag:
    """Whether a value was seen that is not finite: gathered on the device, known when it is read.

    A sum that overflows counts as such a value, so what is flagged must be looked at again.
    """

    def __init__(self, kind: torch.device) -> None:
        self._seen = torch.zeros((), dtype=torch.bool, device=kind)

    def add(self, values: Tensor) -> None:
        """Look at some values."""
        self._seen |= values.sum().isfinite().logical_not_()

    def read(self) -> bool:
        """Whether there was one; waits for the device."""
        return bool(self._seen.item())


class Device(Protocol):
    """Where a worker computes; pickles.

    Attributes:
        kind: as torch calls it.
        arenas: of a worker: while one piece is computed and another is hashed and written, the
            next is read.
    """

    @property
    def kind(self) -> torch.device: ...  # noqa: D102
    @property
    def arenas(self) -> int: ...  # noqa: D102

    def begin(self) -> None:
        """Called once in each worker."""
        ...

    def arena(self, size: int) -> Arena:
        """Memory that it reads from and writes to."""
        ...

    def flag(self) -> Flag | None:
        """What tells later of values that are not finite; None where they are looked at at once."""
        ...

    def copy_out(self, out: Tensor, merged: Tensor) -> None:
        """Round a result into an arena; it is there when the next mark has been waited for."""
        ...

    def mark(self) -> Mark:
        """The end of what it was told so far."""
        ...


class _Past:
    """Where everything is done at once there is nothing to wait for."""

    def wait(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Cpu:
    """The worker's own processor: everything is done when it has been asked for."""

    kind: torch.device = _HERE
    arenas: int = 1

    def begin(self) -> None:
        """Nothing to prepare."""

    def arena(self, size: int) -> Arena:
        """Ordinary memory."""
        return Arena(size)

    def flag(self) -> None:
        """Rows are looked at while they are in the cache."""

    def copy_out(self, out: Tensor, merged: Tensor) -> None:
        """Round it there."""
        copy_rounded(out, merged)

    def mark(self) -> Mark:
        """Done already."""
        return _Past()


@dataclass(frozen=True, slots=True)
class Gpu:
    """A GPU, of which each worker has a stream of its own."""

    kind: torch.device
    arenas: int = 2

    def begin(self) -> None:
        """From now on this thread's work goes to a stream of its own."""
        torch.cuda.set_stream(torch.cuda.Stream())  # pyright: ignore[reportUnknownMemberType]

    def arena(self, size: int) -> Arena:
        """Memory that the system does not move, so that copies need not be waited for."""
        return Arena(size, pinned=True)

    def flag(self) -> Flag:
        """On the GPU."""
        return Flag(self.kind)

    def copy_out(self, out: Tensor, merged: Tensor) -> None:
        """Round there, then copy; torch would round on this side, and wait for it."""
        small = torch.empty(merged.shape, dtype=out.dtype, device=merged.device)
        copy_rounded(small, merged)
        out.copy_(small, non_blocking=True)

    def mark(self) -> Mark:
        """An event behind what the stream was told."""
        event = torch.cuda.Event()
        event.record()
        return _Recorded(event)


@dataclass(frozen=True, slots=True)
class _Recorded:
    event: torch.cuda.Event

    def wait(self) -> None:
        self.event.synchronize()


CPU = Cpu()


def device_for(kind: torch.device) -> Device:
    """The device of a kind."""
    return Gpu(kind) if kind.type == "cuda" else CPU
