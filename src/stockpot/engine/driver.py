"""Running a plan: its tasks go to an executor, and what comes of them is joined and recorded here.

Each worker owns arenas and takes tasks in file order: it reads, computes and writes a piece while
the others do the same with theirs. All that outlives a task is kept here, in one thread: what was
settled, what was counted, the records of what is finished. Torch runs single-threaded within a
worker, so that no result depends on their number.
"""

import math
from collections import Counter
from collections.abc import Iterator, Mapping, MutableMapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

import blake3

from ..asides import Note
from ..checkpoints.writing.journal import Record, Records
from ..core import Facts, Method, Reach, Settled
from ..errors import MergeError
from ..ops.abreast import settles_as
from ..recipes.resolving.assignment import Assignment
from ..running.executor import THREADS, Executor, in_order
from ..texts import size_text
from ..values.fields import kebab_name
from ..values.result import Progress
from .cutting import BLOCK, batched
from .pieces import Survey, Task, is_whole
from .plan import Plan, deriving_bytes
from .rows import raw_bytes
from .sinks import Sink
from .tasks import own_code
from .tasks.asides import join_notes, joined_reports, report_of
from .tasks.deriving import derived
from .tasks.desk import Setting, fits_tensor
from .tasks.devices import CPU, Device
from .tasks.done import Done, Part
from .tasks.merging import MapTask, Merging
from .tasks.surveying import SampleTask, Surveyed, Surveying, SurveyTask, sample_of

T = TypeVar("T")
SettledBefore = MutableMapping[object, Settled]
"""What surveys have settled, by what was asked; for runs on the same models."""


@dataclass(slots=True)
class _Unfinished:
    """A tensor of which some parts are merged.

    Attributes:
        left: elements that are missing.
        notes: what was told of the others.
        given: by key the elements of its extras that are written.
    """

    left: int
    notes: Mapping[str, Note] = field(default_factory=dict[str, Note])
    given: Counter[str] = field(default_factory=Counter[str])


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
        executor: where tasks run.
        settled: what earlier runs on the same models have settled, to which this one adds; none of
            it is surveyed again.

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
        device: Device = CPU,
        allow_non_finite: bool = False,
        progress: Progress | None = None,
        executor: Executor = THREADS,
        settled: SettledBefore | None = None,
    ) -> None:
        self._plan, self._sink, self._executor = plan, sink, executor
        self._known = settled
        self._setting = Setting(
            arena=plan.arena,
            block=plan.block,
            facts=plan.facts,
            device=device,
            seed=seed,
            check=not allow_non_finite,
            digests=digests,
        )
        self._progress = progress
        self._moved, self._total = 0, plan.bytes_read + plan.bytes_written
        self._settled: dict[str, Settled] = {}
        self._unfinished: dict[str, _Unfinished] = {}
        self._by_name = {a.name: a for a in plan.assignments.tensors}
        self.records = Records(_whole(plan, sink.done))
        self.bytes_read, self.bytes_written = 0, 0

    def execute(self) -> None:
        """Survey what must be known, then map everything that is not done yet."""
        for survey in self._plan.surveys:
            if any(a.name not in self.records for a in survey.assignments):
                self._survey(survey)
            else:
                self._total -= _read_bytes(survey)
        memory = "returned" if any(map(is_whole, self._plan.assignments.tensors)) else "kept"
        merging = Merging(self._setting, self._sink.target, memory)
        tasks = _largest_first([*self._left()], self._plan.workers)
        self._executor.run(merging, tasks, self._take, self._plan.workers)
        left = [a for a in self._plan.derived if a.name not in self.records]
        in_order(self._derive, left, workers=1)

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
        """Over all tensors of an element-wise method what it told of each."""
        groups: dict[tuple[Method, tuple[int, ...]], list[Mapping[str, object]]] = {}
        for a in self._plan.assignments.tensors:
            report = self.records.report(a.name)
            if report and a.method and a.method.needs.reach is Reach.ELEMENT:
                groups.setdefault((a.method, a.models), []).append(report)
        for (method, models), reports in groups.items():
            about = {"method": repr(method), "tensors": len(reports), "models": list(models)}
            yield about | joined_reports(reports)

    def _left(self) -> Iterator[MapTask]:
        """What is not done yet, each task with what was settled for its pieces."""
        for task in self._plan.tasks:
            pieces = tuple(p for p in task.pieces if p.assignment.name not in self.records)
            done = [p for p in task.pieces if p.assignment.name in self.records]
            self._total -= sum(p.read_bytes + p.written_bytes for p in done)
            if not pieces:
                continue
            whole = task.packed or self._setting.digests
            # without digests nothing asks for the pieces of a tensor in their order
            for part in [Task(pieces, task.packed)] if whole else batched(pieces, BLOCK):
                settled = (self._settled.get(p.assignment.name) for p in part.pieces)
                yield MapTask(part, tuple(settled))

    def _survey(self, survey: Survey) -> None:
        """Rounds over all tensors of the survey until its method has settled."""
        method, known = survey.method, self._known
        question = None if known is None else self._question(survey)
        hint = None if known is None else known.get(question)
        if hint is None and method.needs.sample and (batches := sample_of(survey)):
            facts = self._joined(batches).close()
            hint = own_code.settled(method, facts, None, survey.assignments[0].name)
        self._total -= _read_bytes(survey)
        while hint is None or not hint.final:
            self._total += _read_bytes(survey)
            tasks = [SurveyTask(method, task.pieces, hint) for task in survey.tasks]
            facts = self._joined(tasks).close()
            hint = own_code.settled(method, facts, hint, survey.assignments[0].name)
        if known is not None:
            known[question] = hint
        for a in survey.assignments:
            self._settled[a.name] = hint

    def _question(self, survey: Survey) -> object:
        """What is equal for surveys of the same models that settle alike."""
        about = tuple((a.name, a.models, a.weights) for a in survey.assignments)
        return settles_as(survey.method), about, self._setting.seed

    def _joined(self, tasks: Sequence[SurveyTask | SampleTask]) -> Facts:
        total: list[Facts] = []

        def join(found: Surveyed) -> None:
            total[:] = [total[0].join(found.facts)] if total else [found.facts]
            self._count(found.bytes_read, 0)

        self._executor.run(Surveying(self._setting), tasks, join, self._plan.workers)
        return total[0]

    def _take(self, done: Done) -> None:
        """Record what is finished with a step of a task."""
        for extra in done.given:
            self._sink.take(extra.key, extra.start, extra.kept)
            self._begun(extra.tensor).given[extra.key] += extra.numel
        for part in done.parts:
            self._sink.take(part.name, part.start, part.kept)
        records = [record for part in done.parts for record in self._recorded(part)]
        if records:
            self._sink.finish(records)
            self.records.add(records)
        self._count(done.bytes_read, done.bytes_written)

    def _begun(self, name: str) -> _Unfinished:
        if name not in self._unfinished:
            self._unfinished[name] = _Unfinished(math.prod(self._by_name[name].shape))
        return self._unfinished[name]

    def _recorded(self, part: Part) -> Iterator[Record]:
        """The records of a tensor whose last part this is: of its extras, then its own."""
        a, tensor = self._by_name[part.name], self._begun(part.name)
        tensor.left -= part.numel
        tensor.notes = join_notes(tensor.notes, part.notes)
        if tensor.left:
            return
        del self._unfinished[part.name]
        for placed in a.extras:
            if tensor.given[placed.key] != math.prod(placed.extra.shape):
                method = kebab_name(type(a.method))
                raise MergeError(f"{method} declares '{placed.key}' and does not give all of it.")
            yield Record(placed.key, part.extras.get(placed.key))
        report = {**(part.report or {}), **report_of(tensor.notes)}
        output, *inputs = part.digests or [None] * (1 + len(a.entries))
        yield Record(part.name, output, tuple(inputs), report or None)

    def _derive(self, a: Assignment) -> None:
        """Compute what follows from a merged tensor that is written, and write and record it."""
        merged = self._by_name[a.derivation.of] if a.derivation else a
        check, hashed = self._setting.check, self._setting.digests
        out, parts, report = derived(a, merged, self._sink.read, check=check)
        data = [raw_bytes(one) for one in (out, *(part.reshape(-1) for part in parts))]
        digest, *inputs = (blake3.blake3(one).hexdigest() if hashed else None for one in data)
        self._sink.take(a.name, 0, self._sink.target.write(a.name, 0, data[0]))
        record = Record(a.name, digest, tuple(inputs), report or None)
        self._sink.finish([record])
        self.records.add([record])
        self._count(deriving_bytes(a, self._by_name)[0], len(data[0]))

    def _count(self, read: int, written: int) -> None:
        """Count bytes moved, and tell the progress callback."""
        self.bytes_read += read
        self.bytes_written += written
        self._moved += read + written
        if self._progress is not None and read + written:
            self._progress(
                f"{size_text(self._moved)} of {size_text(self._total)}", self._moved / self._total
            )


def _whole(plan: Plan, done: Mapping[str, Record]) -> Iterator[Record]:
    """Records of an earlier run, but of tensors beside which an extra is not there."""
    tensors = plan.assignments.tensors if done else ()
    lacking = {a.name for a in tensors if any(placed.key not in done for placed in a.extras)}
    return (record for record in done.values() if record.name not in lacking)


def _largest_first(tasks: Sequence[MapTask], workers: int) -> Sequence[MapTask]:
    """Tasks beyond a quarter of a worker's share before the others, which stay in file order.

    Of one tensor all is done by one worker: where it came last the others would have nothing to do.
    """
    sizes = [sum(piece.numel for piece in task.task.pieces) for task in tasks]
    large = sum(sizes) / (4 * workers)
    order = sorted(range(len(tasks)), key=lambda i: -sizes[i] if sizes[i] > large else 0)
    return [tasks[i] for i in order]


def _read_bytes(survey: Survey) -> int:
    """Bytes that one round of a survey reads."""
    return sum(piece.read_bytes for task in survey.tasks for piece in task.pieces)
