"""A worker's desk: pieces are read to it, surveyed, and mapped into the output's dtype."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import cycle

import torch
from torch import Tensor

from ...checkpoints.entry import TensorEntry
from ...checkpoints.source import MemorySource
from ...core import Facts, Method, Reach, Settled, Stack
from ...recipes.resolving.assignment import Assignment, Beside
from ..pieces import Piece
from ..rows import (
    Arena,
    ElementBytes,
    Joined,
    OnDisk,
    Row,
    Rows,
    Watch,
    is_finite,
    of_row,
    raw_bytes,
    stored_dtype,
)
from . import own_code
from .asides import Asides
from .blame import refuse_copy, refuse_input, refuse_result
from .devices import CPU, Device, Flag, Mark

UNSAMPLED = 2**18
"""Up to this many elements are surveyed without a sample."""
RUN = 128
"""A sample from files is runs of this many elements."""
_SAMPLE = 2**15
"""A sample of a tensor in memory is at least this many evenly spaced elements."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """What every worker of a run is told when it begins.

    Attributes:
        arena: bytes of each of the worker's buffers.
        block: elements computed at a time.
        facts: bytes that the joined facts of a survey may take.
        device: where blocks are computed.
        seed: of methods that draw at random.
        check: whether NaN and infinity are refused.
        digests: whether rows and results are hashed.
    """

    arena: int
    block: int
    facts: int
    device: Device = CPU
    seed: int = 0
    check: bool = True
    digests: bool = True


@dataclass(frozen=True, slots=True)
class Mapped:
    """Pieces that were read, and what the device was told to make of them.

    Attributes:
        pieces: one; or several small tensors, end to end.
        rows: their inputs.
        out: the result, there when `mark` has been waited for.
        report: what was settled for the tensor.
        asides: what the map tells and gives.
        mark: behind the map.
        flag: what was not finite on the device; None where rows were looked at at once.
    """

    pieces: Sequence[Piece]
    rows: Sequence[Row]
    out: Tensor
    report: Mapping[str, object] | None
    asides: Asides
    mark: Mark
    flag: Flag | None = field(default=None)


class Desk:
    """A worker's arenas, and what it does with the rows of the pieces that lie in them."""

    def __init__(self, setting: Setting) -> None:
        self.setting = setting
        self._device = setting.device
        self._device.begin()
        self.arenas = self._device.arenas
        arenas = [self._device.arena(setting.arena) for _ in range(self.arenas)]
        self._arenas = cycle(arenas)

    def load(self, pieces: Sequence[Piece]) -> tuple[Sequence[Row], Tensor]:
        """Read the rows of one piece, or of several small tensors end to end.

        Returns:
            One flat tensor per row in the stored dtype, or where to read it if the piece is read
            in sweeps; and an empty tensor for the result. Tensors lie in an arena, and are gone
            when it is used again, or where the caller has them.
        """
        arena = self._cleared()
        first = pieces[0].assignment
        numel = sum(p.numel for p in pieces)
        if pieces[0].sweeps:
            wanted = self.setting.digests
            on_disk = [OnDisk(entry, digests=wanted) for entry in first.entries]
            return on_disk, arena.take(numel, first.dtype)
        apart = [OnDisk(entry, digests=self.setting.digests) for entry in first.apart]
        if len(pieces) == 1 and self._device.kind.type == "cpu":
            found = [_row(arena, pieces[0], entry) for entry in first.rows]
            return [*found, *apart], arena.take(numel, first.dtype)
        rows = [arena.take(numel, row.dtype) for row in first.rows]
        buffers = [ElementBytes(row) for row in rows]
        at = 0
        for piece in pieces:
            for into, entry in zip(buffers, piece.assignment.rows, strict=True):
                offset = entry.offset + piece.start * entry.dtype.itemsize
                entry.source.read_into(into[at : at + piece.numel], offset)
            at += piece.numel
        return [*rows, *apart], arena.take(numel, first.dtype)

    def sample(self, assignment: Assignment, starts: Sequence[int]) -> list[Tensor]:
        """Read RUN elements from each start, end to end; the arena must hold them."""
        arena = self._cleared()
        rows = [arena.take(len(starts) * RUN, row.dtype) for row in assignment.rows]
        for into, entry in zip(rows, assignment.rows, strict=True):
            buffer = ElementBytes(into)
            for at, start in enumerate(starts):
                run = buffer[at * RUN : (at + 1) * RUN]
                entry.source.read_into(run, entry.offset + start * entry.dtype.itemsize)
        return rows

    def _cleared(self) -> Arena:
        arena = next(self._arenas)
        arena.clear()
        return arena

    def facts(
        self, piece: Piece, method: Method, rows: Sequence[Row], hint: Settled | None
    ) -> Facts:
        """The joined facts of a loaded piece."""
        flag, among = self._flag(method), [piece.assignment]
        watch = self._watch(among, rows, flag)
        joined: Facts | None = None
        for start, stop in self._blocks(piece):
            stack = self._stack(piece, rows, start - piece.start, stop - piece.start, watch)
            found = own_code.surveyed(method, stack, hint)
            joined = found if joined is None else joined.join(found)
        assert joined is not None
        self._device.mark().wait()  # the arena may be used again
        _blame_flagged(flag, among, rows)
        return joined

    def sampled_facts(
        self, assignment: Assignment, method: Method, rows: Sequence[Tensor], runs: int
    ) -> Facts:
        """The facts of a sample; `runs` says in how many runs it was taken."""
        flag, size = self._flag(method), rows[0].numel()
        watch = self._watch([assignment], rows, flag)
        stack = self._stack(Piece(assignment, 0, size), rows, 0, size, watch)
        facts = own_code.surveyed(method, replace(stack, runs=runs), None)
        self._device.mark().wait()
        _blame_flagged(flag, [assignment], rows)
        return facts

    def _settle(self, piece: Piece, method: Method, rows: Sequence[Row]) -> Settled:
        """Everything that must be known of a whole loaded tensor, in as many rounds as it takes."""
        hint: Settled | None = None
        if method.needs.sample and piece.numel > UNSAMPLED:
            step = max(piece.numel // _SAMPLE, 1)
            thin = [row[::step].contiguous() for row in rows if isinstance(row, Tensor)]
            facts = self.sampled_facts(piece.assignment, method, thin, thin[0].numel())
            hint = own_code.settled(method, facts, None, piece.assignment.name)
        while hint is None or not hint.final:
            facts = self.facts(piece, method, rows, hint)
            hint = own_code.settled(method, facts, hint, piece.assignment.name)
        return hint

    def map(self, pieces: Sequence[Piece], settled: Settled | None, asides: Asides) -> Mapped:
        """Read pieces, settle what one tensor tells, and have the device map them block by block.

        Args:
            pieces: one; or several small tensors that are computed end to end.
            settled: what was surveyed before.
            asides: takes what the map tells and gives.
        """
        rows, out = self.load(pieces)
        first = pieces[0].assignment
        if first.method is None:
            (row,) = rows
            assert isinstance(row, Tensor)
            self._device.copy_out(out, row)
            return Mapped(pieces, rows, out, None, asides, self._device.mark())
        if settled is None and fits_tensor(first):
            settled = self._settle(pieces[0], first.method, rows)
        # what was surveyed was checked then
        flag, among = self._flag(first.method), [p.assignment for p in pieces]
        watch = None if settled is not None else self._watch(among, rows, flag)
        self._merge(first.method, pieces, rows, out, settled, watch, asides)
        report = (settled.report if settled else None) or None
        flag = None if watch is None else flag
        return Mapped(pieces, rows, out, report, asides, self._device.mark(), flag)

    def _merge(
        self,
        method: Method,
        pieces: Sequence[Piece],
        rows: Sequence[Row],
        out: Tensor,
        settled: Settled | None,
        watch: Watch | None,
        asides: Asides,
    ) -> None:
        """Map rows into `out`."""
        a, begin = pieces[0].assignment, pieces[0].start
        together = Piece(a, begin, begin + out.numel())
        for start, stop in self._blocks(together):
            low, high = start - begin, stop - begin
            stack = self._stack(together, rows, low, high, watch)
            stack = replace(stack, aside=asides.block(low, high))
            shape = (a.view or a.shape) if method.needs.whole else (high - low,)
            merged = own_code.mapped(method, stack, settled, shape)
            self._device.copy_out(out[low:high], merged.reshape(-1)[a.skipped :][: high - low])

    def finish(self, mapped: Mapped) -> None:
        """Wait for the result, and refuse what is not finite in it or was not in its rows."""
        mapped.mark.wait()
        among = [piece.assignment for piece in mapped.pieces]
        _blame_flagged(mapped.flag, among, mapped.rows)
        out, is_copy = mapped.out, among[0].method is None
        if not self.setting.check or (is_copy and not out.dtype.is_floating_point):
            return
        if is_finite(out):
            return
        if not is_copy:
            refuse_result(mapped.pieces, out)
            return
        (row,) = mapped.rows
        assert isinstance(row, Tensor)
        refuse_copy(mapped.pieces, row, out)

    def _blocks(self, piece: Piece) -> Iterator[tuple[int, int]]:
        method = piece.assignment.method
        whole = method is not None and method.needs.whole
        step = piece.numel if whole else self.setting.block
        for start in range(piece.start, piece.stop, max(step, 1)):
            yield start, min(start + step, piece.stop)
        if piece.numel == 0:
            yield piece.start, piece.stop

    def _flag(self, method: Method) -> Flag | None:
        """None where rows are looked at at once: a decomposition may fail of what is not finite."""
        deferred = self.setting.check and not method.needs.whole
        return self._device.flag() if deferred else None

    def _watch(
        self, among: Sequence[Assignment], rows: Sequence[Row], flag: Flag | None
    ) -> Watch | None:
        """What looks at rows: into a flag, or at once."""
        if not self.setting.check:
            return None

        def look(index: int, row: Tensor) -> None:
            if flag is not None:
                flag.add(row)
            elif not is_finite(row):
                refuse_input(among, rows, index)

        return look

    def _stack(
        self, piece: Piece, rows: Sequence[Row], low: int, high: int, watch: Watch | None
    ) -> Stack:
        """Elements [low, high) of the loaded rows as a method sees them."""
        a = piece.assignment
        assert a.method is not None
        needs = a.method.needs
        own = rows[: len(a.rows)]
        parts = [row if isinstance(row, OnDisk) else row[low:high] for row in own]
        seen = [_joined(a, row, part) for row, part in enumerate(parts)] if a.joined else parts
        wide = any(row.dtype == torch.float64 for row in (*seen, *rows[len(own) :]))
        dtype = torch.float64 if wide else torch.float32
        shape = (a.view or a.shape) if needs.whole else (high - low,)
        lazy = Rows(seen, dtype, self._device.kind, shape, watch)
        models = lazy[: len(a.sources)]
        return Stack(
            models=models,
            weights=a.weights,
            base=lazy[len(a.sources)] if a.base is not None else None,
            statistics=dict(self._statistics(a, lazy, rows, watch)),
            name=a.key,
            start=piece.start + low,
            seed=self.setting.seed,
            facts_room=self.setting.facts,
            fresh=models.fresh,
            stored=tuple(map(stored_dtype, seen)),
        )

    def _statistics(
        self, a: Assignment, own: Rows, rows: Sequence[Row], watch: Watch | None
    ) -> Iterator[tuple[str, Rows]]:
        """Those of each model: among the rows of a block, or behind them in another shape."""
        assert a.method is not None
        count, at, behind = len(a.sources), len(a.sources) + (a.base is not None), len(own)
        for statistic, entries in zip(a.method.needs.statistics, a.statistics, strict=True):
            if statistic.axes is None:
                yield statistic.name, own[at : at + count]
                at += count
            else:
                raw, shape = rows[behind : behind + count], entries[0].shape
                device, dtype = self._device.kind, own.dtype
                yield statistic.name, Rows(raw, dtype, device, shape, watch, behind)
                behind += count


def _blame_flagged(flag: Flag | None, among: Sequence[Assignment], rows: Sequence[Row]) -> None:
    """Where something was flagged, look at the rows themselves."""
    if flag is not None and flag.read():
        for index, row in enumerate(rows):
            if isinstance(row, Tensor) and not is_finite(row):
                refuse_input(among, rows, index)


def _row(arena: Arena, piece: Piece, entry: TensorEntry) -> Tensor:
    """One row of a piece: where it lies, if that is in memory, else read into the arena."""
    offset = entry.offset + piece.start * entry.dtype.itemsize
    if isinstance(entry.source, MemorySource):
        return entry.source.elements(entry.dtype, offset, piece.numel)
    row = arena.take(piece.numel, entry.dtype)
    entry.source.read_into(raw_bytes(row), offset)
    return row


def _joined(a: Assignment, row: int, own: Row) -> Joined:
    """A row between those of the tensors that are seen as one with it."""

    def beside(some: Sequence[Beside]) -> list[OnDisk]:
        return [OnDisk(of_row(one, row), digests=False) for one in some]

    return Joined([*beside(a.above), own, *beside(a.below)])


def fits_tensor(assignment: Assignment) -> bool:
    """Whether what must be known is known from this tensor alone."""
    return assignment.method is not None and assignment.method.needs.reach is Reach.TENSOR
