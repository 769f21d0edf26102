"""Running a plan with threads on one machine, on the CPU or one GPU.

Each worker owns an arena and takes tasks in file order: it reads, computes and writes a piece
while the others do the same with theirs, so that reading, computing and writing overlap. Torch
runs single-threaded within a worker, so that no result depends on the number of threads.
"""

import math
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import nullcontext
from typing import TypeVar, cast

import blake3
import torch

from ..checkpoints.writing.journal import Record, Records
from ..core import SEGMENT, Facts, Method, Reach, Settled
from ..recipes.assignment import Assignment
from ..running.allocator import keep_freed_blocks
from .plan import Piece, Plan, Survey, Task, deriving_bytes
from .rows import ElementBytes, OnDisk, raw_bytes
from .sinks import Sink
from .tasks.desk import RUN, UNSAMPLED, Desk, fits_tensor
from .tasks.digests import TensorDigests

RUNS = 2**12
"""A sample is about this many runs, however large the model: a few MiB and 2% of bracket."""
SPACING = 2**13
"""Fewer where they would lie closer than this many elements: each is a read of its own."""

_BATCH = SEGMENT // RUN
"""Runs sampled at a time; every arena holds as many of a tensor, or all of it."""

T = TypeVar("T")
Runs = tuple[Assignment, range]
"""A tensor and where the sampled runs in it start."""
Progress = Callable[[int, int], None]
"""Called with the bytes moved so far and in all; from any thread, often."""


class Run:
    """One execution of a plan into a sink.

    Args:
        plan: what to do.
        sink: where the bytes go.
        seed: of methods that draw at random.
        digests: whether to take BLAKE3 of every input and output tensor.
        device: where blocks are computed.
        allow_non_finite: let NaN and infinity through.
        progress: called as bytes are moved.

    Attributes:
        records: a record per finished tensor, those of an earlier run included.
        bytes_read, bytes_written: moved by this run, without samples.
    """

    def __init__(
        self,
        plan: Plan,
        sink: Sink,
        *,
        seed: int = 0,
        digests: bool = True,
        device: torch.device | None = None,
        allow_non_finite: bool = False,
        progress: Progress | None = None,
    ) -> None:
        self._plan, self._sink, self._seed, self._hash = plan, sink, seed, digests
        self._device = device or torch.device("cpu")
        self._check = not allow_non_finite
        self._progress = progress
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._moved, self._total = 0, plan.bytes_read + plan.bytes_written
        self._settled: dict[str, Settled] = {}
        self._digests: dict[str, TensorDigests] = {}
        self._counted: dict[str, Counter[str]] = {}
        self._by_name = {a.name: a for a in plan.assignments.tensors}
        self._left: dict[str, int] = {}
        self.records = Records(sink.done.values())
        self.bytes_read, self.bytes_written = 0, 0

    def execute(self) -> None:
        """Survey what must be known, then map everything that is not done yet."""
        for survey in self._plan.surveys:
            if any(a.name not in self.records for a in survey.assignments):
                self._survey(survey)
            else:
                self._total -= _read_bytes(survey)
        todo = list[Task]()
        for task in self._plan.tasks:
            pieces = tuple(p for p in task.pieces if p.assignment.name not in self.records)
            done = [p for p in task.pieces if p.assignment.name in self.records]
            self._total -= sum(p.read_bytes + p.written_bytes for p in done)
            if pieces:
                todo.append(Task(pieces, task.packed))
        self._in_parallel(self._map, todo)
        left = [a for a in self._plan.derived if a.name not in self.records]
        self._in_parallel(self._derive, left, workers=1)

    @property
    def reports(self) -> list[Mapping[str, object]]:
        """What methods settled over several tensors; from the records, which a resume has too."""
        found = list[Mapping[str, object]]()
        for survey in self._plan.surveys:
            first = survey.assignments[0]
            report = self.records.report(first.name)
            if report and not fits_tensor(first):
                about = {"method": repr(survey.method), "tensors": len(survey.assignments)}
                found.append(about | {"models": list(first.models), **report})
        return [*found, *self._sums()]

    def _sums(self) -> Iterator[Mapping[str, object]]:
        """Over all tensors of an element-wise method what it counted in each."""
        groups: dict[tuple[Method, tuple[int, ...]], list[Mapping[str, object]]] = {}
        for a in self._plan.assignments.tensors:
            report = self.records.report(a.name)
            if report and a.method and a.method.needs.reach is Reach.ELEMENT:
                groups.setdefault((a.method, a.models), []).append(report)
        for (method, models), reports in groups.items():
            sums = Counter[str]()
            for report in reports:
                sums.update({what: cast(int, number) for what, number in report.items()})
            about = {"method": repr(method), "tensors": len(reports), "models": list(models)}
            yield about | sums

    def _in_parallel(
        self, work: Callable[[T, Desk], None], items: Sequence[T], workers: int | None = None
    ) -> None:
        queue = iter(items)
        on_gpu = self._device.type == "cuda"

        def worker() -> None:
            torch.set_num_threads(1)
            desk = Desk(
                arena=self._plan.arena,
                block=self._plan.block,
                facts=self._plan.facts,
                device=self._device,
                seed=self._seed,
                check=self._check,
                digests=self._hash,
            )
            try:
                with torch.cuda.stream(torch.cuda.Stream()) if on_gpu else nullcontext():
                    while not self._stop.is_set():
                        with self._lock:
                            item = next(queue, None)
                        if item is None:
                            return
                        work(item, desk)
            except BaseException:
                self._stop.set()
                raise

        keep_freed_blocks()
        threads = torch.get_num_threads()
        count = min(workers or self._plan.workers, len(items))
        try:
            with ThreadPoolExecutor(max(count, 1)) as pool:
                futures = [pool.submit(worker) for _ in range(count)]
                try:
                    wait(futures)
                except BaseException:  # Ctrl-C: the workers leave before their next task
                    self._stop.set()
                    raise
            for future in futures:
                future.result()
        finally:
            torch.set_num_threads(threads)

    def _survey(self, survey: Survey) -> None:
        """Rounds over all tensors of the survey until its method has settled."""
        hint: Settled | None = None
        if survey.method.needs.sample and (batches := _sample_of(survey)):
            hint = survey.method.settle(self._sampled(survey, batches).close(), None)
        self._total -= _read_bytes(survey)
        while hint is None or not hint.final:
            self._total += _read_bytes(survey)
            hint = survey.method.settle(self._surveyed(survey, hint).close(), hint)
        for a in survey.assignments:
            self._settled[a.name] = hint

    def _sampled(self, survey: Survey, batches: Sequence[Sequence[Runs]]) -> Facts:
        def work(batch: Sequence[Runs], desk: Desk) -> Facts:
            joined: Facts | None = None
            for assignment, starts in batch:
                rows = desk.sample(assignment, starts)
                found = desk.sampled_facts(assignment, survey.method, rows, len(starts))
                joined = found if joined is None else joined.join(found)
            assert joined is not None
            return joined

        return self._joined(work, batches)

    def _surveyed(self, survey: Survey, hint: Settled | None) -> Facts:
        def work(task: Task, desk: Desk) -> Facts:
            joined: Facts | None = None
            for piece in task.pieces:
                rows, _ = desk.load([piece])
                found = desk.facts(piece, survey.method, rows, hint)
                joined = found if joined is None else joined.join(found)
                self._count([piece], written=False)
            assert joined is not None
            return joined

        return self._joined(work, survey.tasks)

    def _joined(self, work: Callable[[T, Desk], Facts], items: Sequence[T]) -> Facts:
        total: list[Facts] = []

        def and_join(item: T, desk: Desk) -> None:
            found = work(item, desk)
            with self._lock:
                total[:] = [total[0].join(found)] if total else [found]

        self._in_parallel(and_join, items)
        return total[0]

    def _map(self, task: Task, desk: Desk) -> None:
        if task.packed:
            self._map_pieces(task.pieces, desk)
            return
        for piece in task.pieces:
            self._map_pieces([piece], desk)

    def _map_pieces(self, pieces: Sequence[Piece], desk: Desk) -> None:
        """Load, settle what one tensor tells, merge, hash, write and record."""
        first = pieces[0]
        rows, out = desk.load(pieces)
        settled = self._settled.get(first.assignment.name)
        if settled is None and first.assignment.method and fits_tensor(first.assignment):
            settled = desk.settle(first, first.assignment.method, rows)
        told, counted = desk.merge(pieces, rows, out, settled)
        finished: list[Record] = []
        streamed = [row for row in rows if isinstance(row, OnDisk)]
        loaded = [ElementBytes(row) for row in (*rows, out) if not isinstance(row, OnDisk)]
        at = 0
        for piece, found in zip(pieces, counted, strict=True):
            parts = [row[at : at + piece.numel] for row in loaded]
            digests = self._hashed(piece, streamed, parts)
            self._sink.write(piece.assignment.name, piece.start * out.dtype.itemsize, parts[-1])
            if self._is_complete(piece, found):
                *inputs, output = digests() if digests else [None] * (len(rows) + 1)
                report = self._report(piece.assignment, settled) or told or None
                finished.append(Record(piece.assignment.name, output, tuple(inputs), report))
            at += piece.numel
        if finished:
            self._sink.finish(finished)
            with self._lock:
                self.records.add(finished)
        self._count(pieces)

    def _derive(self, a: Assignment, desk: Desk) -> None:
        """Compute what follows from a merged tensor that is written, and write and record it."""
        merged = self._by_name[a.derivation.of] if a.derivation else a
        flat = torch.empty(math.prod(merged.shape), dtype=merged.dtype)
        self._sink.read(merged.name, 0, raw_bytes(flat))
        parts = [part.load() for part in a.parts]
        out, report = desk.derive(a, flat.reshape(merged.shape), parts)
        digest, *inputs = [None] * (1 + len(parts))
        if self._hash:
            tensors = (out, *(part.reshape(-1) for part in parts))
            digest, *inputs = (blake3.blake3(raw_bytes(one)).hexdigest() for one in tensors)
        self._sink.write(a.name, 0, raw_bytes(out))
        record = Record(a.name, digest, tuple(inputs), report or None)
        self._sink.finish([record])
        moved = deriving_bytes(a, self._by_name)[0]
        with self._lock:
            self.records.add([record])
            self.bytes_read += moved
            self.bytes_written += len(raw_bytes(out))
            self._moved += moved + len(raw_bytes(out))
            if self._progress is not None:
                self._progress(self._moved, self._total)

    def _hashed(
        self, piece: Piece, streamed: Sequence[OnDisk], parts: Sequence[memoryview]
    ) -> Callable[[], Sequence[str | None]] | None:
        """Add the piece's bytes to its tensor's hashes; what is returned gives the digests."""
        if not self._hash:
            return None
        if piece.whole:
            read = [row.digest() for row in streamed]
            return lambda: [*read, *(blake3.blake3(part).hexdigest() for part in parts)]
        with self._lock:
            hashes = self._digests.setdefault(piece.assignment.name, TensorDigests(len(parts)))
        hashes.update(piece.start, piece.stop, parts, self._stop.is_set)
        if piece.stop == math.prod(piece.assignment.shape):  # the last, for they come in order
            with self._lock:
                del self._digests[piece.assignment.name]
        return hashes.hex

    def _report(self, a: Assignment, settled: Settled | None) -> Mapping[str, object] | None:
        """What was settled for a tensor and counted in it."""
        with self._lock:
            counted = self._counted.pop(a.name, None)
        if counted is None:
            return settled.report if settled else None
        return {**(settled.report if settled else {}), **counted, "total": math.prod(a.shape)}

    def _is_complete(self, piece: Piece, counted: Counter[str]) -> bool:
        with self._lock:
            if counted:
                self._counted.setdefault(piece.assignment.name, Counter()).update(counted)
            if piece.whole:
                return True
            name, whole = piece.assignment.name, math.prod(piece.assignment.shape)
            self._left[name] = self._left.get(name, whole) - piece.numel
            return self._left[name] == 0

    def _count(self, pieces: Sequence[Piece], *, written: bool = True) -> None:
        """Count bytes moved, and tell the progress callback."""
        read = sum(p.read_bytes for p in pieces)
        wrote = sum(p.written_bytes for p in pieces) if written else 0
        with self._lock:
            self.bytes_read += read
            self.bytes_written += wrote
            self._moved += read + wrote
            if self._progress is not None:
                self._progress(self._moved, self._total)


def _read_bytes(survey: Survey) -> int:
    """Bytes that one round of a survey reads."""
    return sum(piece.read_bytes for task in survey.tasks for piece in task.pieces)


def _sample_of(survey: Survey) -> list[list[Runs]]:
    """Batches of evenly spaced runs; none where the survey is small or its tensors are tiny."""
    if survey.numel <= UNSAMPLED:
        return []
    stride = max(survey.numel // RUNS, SPACING)
    batches, filled, position = list[list[Runs]](), _BATCH, 0
    for a in survey.assignments:
        numel = math.prod(a.shape)
        starts = range(-position % stride, numel - RUN + 1, stride)
        position += numel
        for i in range(0, len(starts), _BATCH):
            part = starts[i : i + _BATCH]
            if filled >= _BATCH:
                batches.append([])
                filled = 0
            batches[-1].append((a, part))
            filled += len(part)
    return batches
