"""What one worker does with one piece: read its rows, survey them, map them, cast the result."""

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from ...checkpoints.entry import MemorySource, TensorEntry
from ...checkpoints.roles import Role
from ...core import Facts, Method, Reach, Settled, Stack
from ...errors import NonFiniteError
from ...ops.rounding import copy_rounded
from ...recipes.assignment import Assignment, Beside
from ...values.fields import kebab_name
from ..plan import Piece
from ..rows import (
    Arena,
    ElementBytes,
    Joined,
    OnDisk,
    Row,
    Rows,
    is_finite,
    raw_bytes,
    stored_dtype,
)
from .counts import Counts

UNSAMPLED = 2**18
"""Up to this many elements are surveyed without a sample."""
RUN = 128
"""A sample from files is runs of this many elements."""
_SAMPLE = 2**15
"""A sample of a tensor in memory is at least this many evenly spaced elements."""


class Desk:
    """A worker's arena and the rows of the pieces that lie in it.

    Args:
        arena: bytes of the worker's buffer.
        block: elements computed at a time.
        facts: bytes that the joined facts of a survey may take.
        device: where blocks are computed.
        seed: of methods that draw at random.
        check: whether NaN and infinity are refused.
        digests: whether rows that are read when asked for are hashed.
    """

    def __init__(
        self,
        *,
        arena: int,
        block: int,
        facts: int,
        device: torch.device,
        seed: int,
        check: bool,
        digests: bool,
    ) -> None:
        self._block = block
        self._arena = Arena(arena, device)
        self._device, self._seed, self._check = device, seed, check
        self._facts = facts
        self._digests = digests

    def load(self, pieces: Sequence[Piece]) -> tuple[Sequence[Row], Tensor]:
        """Read the rows of one piece, or of several small tensors end to end.

        Returns:
            One flat tensor per row in the stored dtype, or where to read it if the piece is read
            in sweeps; and an empty tensor for the result. Tensors lie in the arena, and are gone
            with the next call, or where the caller has them.
        """
        self._arena.clear()
        first = pieces[0].assignment
        numel = sum(p.numel for p in pieces)
        if pieces[0].sweeps:
            on_disk = [OnDisk(entry, digests=self._digests) for entry in first.entries]
            return on_disk, self._arena.take(numel, first.dtype)
        if len(pieces) == 1 and self._device.type == "cpu":
            found = [self._row(pieces[0], entry) for entry in first.entries]
            return found, self._arena.take(numel, first.dtype)
        rows = [self._arena.take(numel, row.dtype) for row in first.entries]
        buffers = [ElementBytes(row) for row in rows]
        at = 0
        for piece in pieces:
            for into, entry in zip(buffers, piece.assignment.entries, strict=True):
                offset = entry.offset + piece.start * entry.dtype.itemsize
                entry.source.read_into(into[at : at + piece.numel], offset)
            at += piece.numel
        return rows, self._arena.take(numel, first.dtype)

    def _row(self, piece: Piece, entry: TensorEntry) -> Tensor:
        """One row of a piece: where it lies, if that is in memory, else read into the arena."""
        offset = entry.offset + piece.start * entry.dtype.itemsize
        if isinstance(entry.source, MemorySource):
            return entry.source.elements(entry.dtype, offset, piece.numel)
        row = self._arena.take(piece.numel, entry.dtype)
        entry.source.read_into(raw_bytes(row), offset)
        return row

    def sample(self, assignment: Assignment, starts: Sequence[int]) -> list[Tensor]:
        """Read RUN elements from each start, end to end; the arena must hold them."""
        self._arena.clear()
        rows = [self._arena.take(len(starts) * RUN, row.dtype) for row in assignment.entries]
        for into, entry in zip(rows, assignment.entries, strict=True):
            buffer = ElementBytes(into)
            for at, start in enumerate(starts):
                run = buffer[at * RUN : (at + 1) * RUN]
                entry.source.read_into(run, entry.offset + start * entry.dtype.itemsize)
        return rows

    def facts(
        self, piece: Piece, method: Method, rows: Sequence[Row], hint: Settled | None
    ) -> Facts:
        """The joined facts of a loaded piece."""
        joined: Facts | None = None
        for start, stop in self._blocks(piece):
            stack = self._stack(
                piece.assignment, rows, start - piece.start, stop - piece.start, start
            )
            found = method.survey(stack, hint)
            joined = found if joined is None else joined.join(found)
        assert joined is not None
        return joined

    def sampled_facts(
        self, assignment: Assignment, method: Method, rows: Sequence[Tensor], runs: int
    ) -> Facts:
        """The facts of a sample."""
        return method.survey(self._stack(assignment, rows, 0, rows[0].numel(), 0, runs), None)

    def settle(self, piece: Piece, method: Method, rows: Sequence[Row]) -> Settled:
        """Everything that must be known of a whole loaded tensor, in as many rounds as it takes."""
        hint: Settled | None = None
        if method.needs.sample and piece.numel > UNSAMPLED:
            step = max(piece.numel // _SAMPLE, 1)
            thin = [row[::step].contiguous() for row in rows if isinstance(row, Tensor)]
            facts = self.sampled_facts(piece.assignment, method, thin, thin[0].numel())
            hint = method.settle(facts, None)
        while hint is None or not hint.final:
            hint = method.settle(self.facts(piece, method, rows, hint), hint)
        return hint

    def merge(
        self, pieces: Sequence[Piece], rows: Sequence[Row], out: Tensor, settled: Settled | None
    ) -> tuple[Mapping[str, object], Sequence[Counter[str]]]:
        """Map loaded rows into `out`, block by block, in the output's dtype.

        Returns:
            What a method that works on whole tensors tells of this one; and for each piece what the
            method counted in it.
        """
        first = pieces[0]
        method = first.assignment.method
        counts = Counts([piece.numel for piece in pieces])
        report: Mapping[str, object] = {}
        if method is None:
            (row,) = rows
            assert isinstance(row, Tensor)
            copy_rounded(out, row)
            if self._check and out.dtype.is_floating_point and not is_finite(out):
                self._refuse_copy(pieces, row, out)
            return report, counts.found
        whole = Piece(first.assignment, first.start, first.start + out.numel())
        for start, stop in self._blocks(whole):
            low, high = start - first.start, stop - first.start
            part = out[low:high]
            blamed = [p.assignment for p in pieces] if settled is None else []
            stack = self._stack(first.assignment, rows, low, high, start, among=blamed)
            stack = replace(stack, tally=counts.tally(low))
            if method.needs.whole:
                merged, report = method.with_report(stack, settled)
            else:
                merged = method(stack, settled)
            own = first.assignment.skipped
            copy_rounded(part, merged.reshape(-1)[own : own + part.numel()])
            if self._device.type == "cuda":
                torch.cuda.current_stream().synchronize()
            if self._check and not is_finite(part):
                self._refuse_result(pieces, out)
        return report, counts.found

    def derive(
        self, a: Assignment, merged: Tensor, parts: Sequence[Tensor]
    ) -> tuple[Tensor, Mapping[str, object]]:
        """What follows from a merged tensor, flat, as it is written; and what is told of it."""
        assert a.derivation is not None
        derived = a.derivation(merged, parts)
        out = derived.values.reshape(-1).to(a.dtype)
        if self._check and not is_finite(out):
            raise NonFiniteError(
                f"'{a.name}' becomes NaN or infinity ({a.rule}): it may exceed the range of "
                f"{str(a.dtype).removeprefix('torch.')}. Try --dtype float32."
            )
        return out, derived.report

    def _blocks(self, piece: Piece) -> Iterator[tuple[int, int]]:
        method = piece.assignment.method
        step = piece.numel if method is not None and method.needs.whole else self._block
        for start in range(piece.start, piece.stop, max(step, 1)):
            yield start, min(start + step, piece.stop)
        if piece.numel == 0:
            yield piece.start, piece.stop

    def _stack(
        self,
        a: Assignment,
        rows: Sequence[Row],
        low: int,
        high: int,
        start: int,
        runs: int = 0,
        among: Sequence[Assignment] | None = None,
    ) -> Stack:
        assert a.method is not None
        needs = a.method.needs
        parts = [row if isinstance(row, OnDisk) else row[low:high] for row in rows]
        seen = [_joined(a, row, part) for row, part in enumerate(parts)] if a.joined else parts
        wide = any(row.dtype == torch.float64 for row in seen)
        dtype = torch.float64 if wide else torch.float32
        shape = (a.view or a.shape) if needs.whole else (high - low,)

        def blame(row: int) -> None:
            self._refuse_beside(a, row)
            self._refuse_input(among or [a], rows, row)

        # what was surveyed was checked then: the map of it passes an empty `among`
        checked = self._check and (among is None or len(among) > 0)
        lazy = Rows(seen, dtype, self._device, shape, blame if checked else None)
        models = lazy[: len(a.sources)]
        return Stack(
            models=models,
            weights=a.weights,
            base=lazy[len(a.sources)] if a.base is not None else None,
            statistics=lazy[len(lazy) - len(a.statistics) :],
            name=a.key,
            start=start,
            seed=self._seed,
            runs=runs,
            facts_room=self._facts,
            fresh=models.fresh,
            stored=tuple(map(stored_dtype, seen)),
        )

    def _refuse_input(self, among: Sequence[Assignment], rows: Sequence[Row], row: int) -> None:
        at, found = 0, rows[row]
        for a in among:
            numel = (
                math.prod(a.shape) if len(among) > 1 or isinstance(found, OnDisk) else len(found)
            )
            if isinstance(found, OnDisk) or not is_finite(found[at : at + numel]):
                raise _non_finite(a.name, a.entries[row])
            at += numel

    def _refuse_beside(self, a: Assignment, row: int) -> None:
        """Name what is not finite among the tensors that are seen as one with this one."""
        for one in (*a.above, *a.below):
            entry = _of_row(one, row)
            if not is_finite(entry.load()):
                raise _non_finite(entry.name, entry)

    def _refuse_copy(self, pieces: Sequence[Piece], row: Tensor, out: Tensor) -> None:
        """Name the first copied tensor that is not finite, but for masks, which may be so."""
        at = 0
        for piece in pieces:
            a, part = piece.assignment, slice(at, at + piece.numel)
            at += piece.numel
            if a.role is Role.COUNTER or is_finite(out[part]):
                continue
            if is_finite(row[part]):
                raise NonFiniteError(
                    f"'{a.name}' is copied and exceeds the range of "
                    f"{str(a.dtype).removeprefix('torch.')}: try --dtype float32, or pass "
                    "--allow-non-finite."
                )
            assert a.copy_from is not None
            raise _non_finite(a.name, a.copy_from)

    def _refuse_result(self, pieces: Sequence[Piece], out: Tensor) -> None:
        at = 0
        for piece in pieces:
            a = piece.assignment
            if not is_finite(out[at : at + piece.numel]):
                assert a.method is not None
                raise NonFiniteError(
                    f"{kebab_name(type(a.method))} gives NaN or infinity in '{a.name}' from finite "
                    f"inputs: it may exceed the range of {str(a.dtype).removeprefix('torch.')}. "
                    "Try a smaller scale or --dtype float32, or pass --allow-non-finite."
                )
            at += piece.numel


def _non_finite(name: str, entry: TensorEntry) -> NonFiniteError:
    return NonFiniteError(
        f"'{name}' in {entry.owner} holds NaN or infinity. Mend or leave out that model, or pass "
        "--allow-non-finite to merge it as it is."
    )


def _joined(a: Assignment, row: int, own: Row) -> Joined:
    """A row between those of the tensors that are seen as one with it."""

    def beside(some: Sequence[Beside]) -> list[OnDisk]:
        return [OnDisk(_of_row(one, row), digests=False) for one in some]

    return Joined([*beside(a.above), own, *beside(a.below)])


def _of_row(one: Beside, row: int) -> TensorEntry:
    entry = one.sources[row] if row < len(one.sources) else one.base
    assert entry is not None
    return entry


def fits_tensor(assignment: Assignment) -> bool:
    """Whether what must be known is known from this tensor alone."""
    return assignment.method is not None and assignment.method.needs.reach is Reach.TENSOR
