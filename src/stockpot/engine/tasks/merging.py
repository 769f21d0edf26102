"""A task that merges: pieces are read, settled, mapped, hashed and written, one after the other.

Where a device computes on its own, a piece is finished after the next one has been read.
"""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal

import blake3

from ... import system
from ...core import Settled
from ..pieces import Piece, Task
from ..rows import ElementBytes, OnDisk, raw_bytes
from ..sinks import Target
from .asides import Asides, ExtrasOut
from .desk import Desk, Mapped, Setting
from .digests import TensorDigests
from .done import Done, Part


@dataclass(frozen=True, slots=True)
class MapTask:
    """A task of a plan, and for each of its pieces what was surveyed before."""

    task: Task
    settled: tuple[Settled | None, ...]

    def steps(self) -> Iterator[tuple[Sequence[Piece], Settled | None]]:
        """What is computed as one."""
        if self.task.packed:
            yield self.task.pieces, self.settled[0]
            return
        for piece, settled in zip(self.task.pieces, self.settled, strict=True):
            yield [piece], settled


@dataclass(frozen=True, slots=True)
class Merging:
    """Begins a worker that merges.

    Attributes:
        setting: of the run.
        target: where merged bytes go.
        memory: what becomes of freed blocks: "kept" for the next ones, or "returned", as whole
            matrices want it, whose work leaves holes that no plan could count.
    """

    setting: Setting
    target: Target
    memory: Literal["kept", "returned"] = "kept"

    def __call__(self) -> Callable[[MapTask], Iterator[Done]]:
        """A worker with a desk of its own."""
        if self.memory == "returned":
            system.here.return_large_blocks()
        return partial(_merged, Desk(self.setting), self.target)


def _merged(desk: Desk, target: Target, task: MapTask) -> Iterator[Done]:
    mapped: deque[Mapped] = deque()
    hashes: dict[str, TensorDigests] = {}
    extras = ExtrasOut(target, desk.setting.check, desk.setting.digests)
    for pieces, settled in task.steps():
        mapped.append(desk.map(pieces, settled, Asides(pieces, extras)))
        if desk.setting.digests and not task.task.packed:
            _hash_inputs(mapped[-1], hashes)  # while a device computes
        if len(mapped) == desk.arenas:
            yield _finished(desk, target, mapped.popleft(), hashes, extras)
    while mapped:
        yield _finished(desk, target, mapped.popleft(), hashes, extras)


def _hash_inputs(mapped: Mapped, hashes: dict[str, TensorDigests]) -> None:
    (piece,), rows = mapped.pieces, mapped.rows
    if piece.assignment.name not in hashes:
        hashes[piece.assignment.name] = TensorDigests(rows)
    loaded = [raw_bytes(row) for row in rows if not isinstance(row, OnDisk)]
    hashes[piece.assignment.name].add_inputs(loaded)


def _finished(
    desk: Desk,
    target: Target,
    mapped: Mapped,
    hashes: dict[str, TensorDigests],
    extras: ExtrasOut,
) -> Done:
    """Wait for the result, hash it and write it."""
    desk.finish(mapped)
    pieces, out, size = mapped.pieces, ElementBytes(mapped.out), mapped.out.dtype.itemsize
    digests = _digests(mapped, hashes) if desk.setting.digests else [None] * len(pieces)
    parts, at = list[Part](), 0
    for piece, notes, known in zip(pieces, mapped.asides.notes, digests, strict=True):
        a, start = piece.assignment, piece.start * size
        kept = target.write(a.name, start, out[at : at + piece.numel])
        beside = extras.digests(a if piece.is_last else None)
        parts.append(Part(a.name, start, piece.numel, kept, notes, mapped.report, known, beside))
        at += piece.numel
    read = sum(piece.read_bytes for piece in pieces)
    written, given = sum(piece.written_bytes for piece in pieces), tuple(mapped.asides.given)
    return Done(tuple(parts), given, read, written)


def _digests(
    mapped: Mapped, hashes: dict[str, TensorDigests]
) -> Sequence[tuple[str | None, ...] | None]:
    """For each piece those of its tensor, which are known with its last one."""
    first = mapped.pieces[0]
    if first.assignment.name in hashes:
        hashes[first.assignment.name].add_output(raw_bytes(mapped.out))
        return [hashes.pop(first.assignment.name).hex() if first.is_last else None]
    tensors = (mapped.out, *(row for row in mapped.rows if not isinstance(row, OnDisk)))
    rows, at, found = [ElementBytes(tensor) for tensor in tensors], 0, list[tuple[str, ...]]()
    for piece in mapped.pieces:
        parts = (row[at : at + piece.numel] for row in rows)
        found.append(tuple(blake3.blake3(part).hexdigest() for part in parts))
        at += piece.numel
    return found
