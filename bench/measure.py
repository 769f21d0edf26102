"""Measure whole processes: wall seconds, processor seconds, peak resident memory."""

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

BUFFER_BYTES = 8 << 20
BALLAST = "ballast"
DAY = 86_400.0
LAUNCHER = Path(__file__).with_name("launch.py")


@dataclass(frozen=True, slots=True)
class Run:
    """One measurement; `fault` says why there is none worth having."""

    seconds: float
    cpu_seconds: float = 0.0
    peak_mb: float = 0.0
    fault: str | None = None


Contender = Callable[[], Run]


@dataclass(frozen=True, slots=True)
class Summary:
    """Repeated measurements of one contender."""

    runs: tuple[Run, ...]

    @property
    def fault(self) -> str | None:
        return next((run.fault for run in self.runs if run.fault), None)

    @property
    def seconds(self) -> float:
        return median(run.seconds for run in self.runs)

    @property
    def peak_mb(self) -> float:
        """The largest of all runs: a limit on memory is kept always or not at all."""
        return max(run.peak_mb for run in self.runs)

    def __str__(self) -> str:
        if self.fault:
            return self.fault
        low, high = min(r.seconds for r in self.runs), max(r.seconds for r in self.runs)
        return f"{self.seconds:.2f} s ({low:.2f} to {high:.2f})"


def execute(
    argv: Sequence[str | Path], env: Mapping[str, str] | None = None, timeout: float = DAY
) -> Run:
    """Run a command to its end; what it said is shown if it fails."""
    command = [sys.executable, "-I", "-S", LAUNCHER, str(timeout), *argv]
    launched = subprocess.run(
        list(map(str, command)),
        stdout=subprocess.PIPE,
        env=None if env is None else dict(env),
        check=True,
    )
    seen = json.loads(launched.stdout)
    fault = None
    if seen["stopped"]:
        fault = f"stopped after {timeout:g} s"
    elif seen["code"]:
        fault = f"exit {seen['code']}"
        print(f"{' '.join(map(str, argv))}\n{seen['said']}", file=sys.stderr)
    return Run(seen["seconds"], seen["cpu_seconds"], seen["peak_bytes"] / 1e6, fault)


def timed(work: Callable[[], None]) -> Contender:
    """A contender that is a function of this process; it has no peak of its own."""

    def once() -> Run:
        began, cpu = time.perf_counter(), time.process_time()
        work()
        return Run(time.perf_counter() - began, time.process_time() - cpu)

    return once


def interleave(
    contenders: Mapping[str, Contender], runs: int, before: Callable[[], None]
) -> dict[str, Summary]:
    """Every contender once, in order, and again: A B C A B C. A faulty one is not run again."""
    measured: dict[str, list[Run]] = {name: [] for name in contenders}
    for i in range(runs):
        for name, contender in contenders.items():
            if any(run.fault for run in measured[name]):
                continue
            before()
            run = contender()
            measured[name].append(run)
            note = run.fault or f"{run.seconds:.2f} s, {run.peak_mb:.0f} MB"
            print(f"  {i + 1}/{runs} {name}: {note}", file=sys.stderr, flush=True)
    return {name: Summary(tuple(of_one)) for name, of_one in measured.items()}


def read_plainly(files: Iterable[Path]) -> None:
    """Positioned reads into one reused buffer: what no reader of these bytes can undercut."""
    buffer = bytearray(BUFFER_BYTES)
    for file in files:
        with file.open("rb", buffering=0) as source:
            offset = 0
            while count := os.preadv(source.fileno(), [buffer], offset):
                offset += count


def write_plainly(file: Path, size: int, *, durable: bool) -> None:
    """Positioned writes of size bytes; durable waits until the disk has them."""
    data = memoryview(os.urandom(BUFFER_BYTES))
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("wb", buffering=0) as sink:
        for offset in range(0, size, BUFFER_BYTES):
            os.pwrite(sink.fileno(), data[: size - offset], offset)
        if durable:
            os.fsync(sink.fileno())


def clean_slate(outputs: Path, inputs: Sequence[Path]) -> Callable[[], None]:
    """Before each run: no output, nothing waiting for the disk, the inputs in the page cache.

    The rest of the memory is filled with the ballast beside the outputs, where there is one.
    """

    def before() -> None:
        shutil.rmtree(outputs, ignore_errors=True)
        outputs.mkdir(parents=True)
        os.sync()
        read_plainly([*inputs, *outputs.parent.glob(BALLAST), *inputs])

    return before


def provide_ballast(work: Path, *, wanted: bool) -> None:
    """A file as large as most of the memory, to fill the page cache with before every run.

    So it is on a machine that has been up for a while: new pages come from old ones. On an idle
    virtual machine that hands its free memory back to the host they come from the host, at one to
    three seconds for a GiB, and it is the host that is measured.
    """
    ballast = work / BALLAST
    if not wanted:
        ballast.unlink(missing_ok=True)
        return
    size = int(0.85 * os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    if not ballast.is_file() or ballast.stat().st_size != size:
        print(f"writing {size:,} bytes of ballast", file=sys.stderr)
        write_plainly(ballast, size, durable=True)
