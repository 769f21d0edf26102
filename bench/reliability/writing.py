"""Kills and errors at every call of the writer, and journals with a byte changed or cut."""

import errno
import itertools
import os
import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from stockpot.checkpoints.writing import writer
from stockpot.engine.verify import verify
from stockpot.errors import StockpotError

from .calls import Calls, Killed, Trouble
from .campaign import Tried
from .merging import CASES, Case, Count, Tree, inputs, litter, tree

ERRORS = (errno.ENOSPC, errno.EIO, errno.EACCES)


def writing(work: Path, quick: bool) -> Iterator[Tried]:
    """A merge that ends anywhere leaves PATH whole or as it was, and is resumed to its bytes."""
    models = inputs(work / "models")
    trials = [Trial(models, work, case) for case in CASES]
    step = 31 if quick else 1
    for promise, how, troubles in (
        ("a kill leaves PATH as it was or whole, and --resume gives the same bytes",
         "before each call that changes the disk, and within each write", _kills),
        ("a failed call is told, and --resume gives the same bytes",
         "ENOSPC, EIO, EACCES at each call that changes the disk", _failures),
    ):  # fmt: skip
        count = Count()
        pairs = itertools.product(trials, (True, False))
        for trial, renameat2 in list(pairs)[:: 2 if quick else 1]:
            calls = trial.calls(renameat2)
            for n in range(1, calls + 1, step):
                for words, trouble in troubles(n):
                    case = f"{trial.case.words}, {words}, renameat2 {renameat2}"
                    count.add(case, lambda t=trial, d=trouble, r=renameat2: t.disturbed(d, r))
        yield Tried(promise, how, count.tried, count.held, count.broken)
    yield _signals(trials, 12 if quick else 1)
    yield _journals(trials[1], 200 if quick else 1)


class Trial:
    """One shape of output: what stands before, and what a merge makes of it."""

    def __init__(self, models: list[str], work: Path, case: Case) -> None:
        self.case, self.models = case, models
        self.folders = (work / f"{case.name}-{i}" for i in itertools.count())
        first = next(f for f in self.folders if not f.exists())
        case.prepare(models, first)
        self.before: Tree = tree(first)
        self._first = first
        second = self.fresh()
        case.merge(models, second)
        self.after: Tree = tree(second)

    def fresh(self) -> Path:
        """A folder with what stands before."""
        folder = next(f for f in self.folders if not f.exists())
        shutil.copytree(self._first, folder)
        return folder

    def calls(self, renameat2: bool) -> int:
        """How many calls a merge makes."""
        folder = self.fresh()
        calls = Calls(folder, lambda *_: None, renameat2=renameat2)
        with calls.watched():
            self.case.merge(self.models, folder)
        shutil.rmtree(folder)
        return len(calls.log)

    def disturbed(self, trouble: Trouble, renameat2: bool) -> str | None:
        """What is wrong after a disturbed merge and its resume."""
        folder, told = self.fresh(), ""
        calls = Calls(folder, trouble, renameat2=renameat2)
        try:
            with calls.watched():
                self.case.merge(self.models, folder)
        except (Killed, StockpotError) as error:
            told = str(error)
        wrong = self.judged(folder) or self.resumed(folder)
        return wrong and f"{wrong} {told}"

    def judged(self, folder: Path) -> str | None:
        """What is wrong with what stands there, whole or not."""
        there = tree(folder)
        if there in (self.before, self.after) or not (folder / self.case.name).exists():
            return None
        out = folder / self.case.name
        if out.suffix == ".safetensors" and not verify(out).ok:
            return None  # the new sidecar beside the old weights, and verify tells
        return f"{sorted(there)} is neither what was there nor what is made"

    def resumed(self, folder: Path) -> str | None:
        """What is wrong after a resume."""
        self.case.merge(self.models, folder, resume=True)
        if tree(folder) != self.after:
            return "the resume gave other bytes"
        if left := litter(folder, self.case):
            return f"{left} was left"
        if not (found := verify(folder / self.case.name)).ok:
            return f"verify: {found.problems}"
        shutil.rmtree(folder)
        return None


def _kills(n: int) -> Iterator[tuple[str, Trouble]]:
    def before(at: int, *_: Any) -> None:
        if at == n:
            raise Killed

    def within(at: int, name: str, function: Callable[..., Any], given: tuple[Any, ...]) -> None:
        if at == n and name in ("write", "pwrite"):
            fd, content, *rest = given
            function(fd, content[: len(content) // 2], *rest)
        before(at, name, function, given)

    yield f"killed before call {n}", before
    yield f"killed within call {n}", within


def _failures(n: int) -> Iterator[tuple[str, Trouble]]:
    for number in ERRORS:

        def fail(at: int, *_: Any, number: int = number) -> None:
            if at == n:
                raise OSError(number, os.strerror(number))

        yield f"{errno.errorcode[number]} at call {n}", fail


def _signals(trials: list[Trial], step: int) -> Tried:
    """Real SIGKILLs of a real process, at calls spread over the merge."""
    count = Count()
    for trial in trials:
        calls = trial.calls(True)
        for n in range(1, calls + 1, max(step * calls // 12, 1)):
            count.add(f"{trial.case.words}, SIGKILL at {n}", lambda t=trial, k=n: _killed(t, k))
    promise = "SIGKILL of the process leaves PATH as it was or whole, and --resume mends"
    return Tried(promise, "a process of its own, over its calls", count.tried, count.held,
                 count.broken)  # fmt: skip


def _killed(trial: Trial, n: int) -> str | None:
    folder = trial.fresh()

    def kill(at: int, *_: Any) -> None:
        if at == n:
            os.kill(os.getpid(), signal.SIGKILL)

    pid = os.fork()
    if pid == 0:
        with Calls(folder, kill).watched():
            trial.case.merge(trial.models, folder)
        os._exit(0)
    os.waitpid(pid, 0)
    return trial.judged(folder) or trial.resumed(folder)


def _journals(trial: Trial, step: int) -> Tried:
    """A journal with one byte changed, or cut: the same bytes, or a refusal."""
    folder, count = trial.fresh(), Count()
    commit = writer.Output.commit
    writer.Output.commit = _interrupt
    try:
        trial.case.merge(trial.models, folder)
    except KeyboardInterrupt:
        pass
    finally:
        writer.Output.commit = commit
    partial = folder / f"{trial.case.name}.partial"
    whole = (partial / "journal").read_bytes()
    for i in range(0, len(whole), step):
        flipped = whole[:i] + bytes([whole[i] ^ (1 << i % 8)]) + whole[i + 1 :]
        for words, content in ((f"cut at {i}", whole[:i]), (f"byte {i} changed", flipped)):
            count.add(words, lambda c=content: _with_journal(trial, folder, c))
    promise = "a damaged journal gives the same bytes or a refusal"
    return Tried(promise, "cut at each byte, one bit of each byte flipped", count.tried,
                 count.held, count.broken)  # fmt: skip


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def _with_journal(trial: Trial, killed: Path, journal: bytes) -> str | None:
    folder = trial.fresh()
    partial = folder / f"{trial.case.name}.partial"
    shutil.copytree(killed / partial.name, partial)
    place = (partial / "out").stat().st_ino
    was = (killed / partial.name / "out").stat().st_ino
    (partial / "journal").write_bytes(journal.replace(str(was).encode(), str(place).encode(), 1))
    try:
        return trial.resumed(folder)
    except StockpotError:
        shutil.rmtree(folder)
        return None
