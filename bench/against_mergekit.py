"""Measure stockpot against mergekit, against the disk, and number against number.

    python -m bench.against_mergekit --work DIR --mergekit-python VENV/bin/python

writes the families that are missing (4.9 GB), runs everything, prints the tables as markdown and
keeps them, with every single run, in DIR/results.json. It ends with 1 if a command failed or the
numbers differ; a missed target is said in its table. Without --mergekit-python stockpot is
measured alone. Close what else is running: nothing here can tell a slow merge from a busy machine.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from bench.contenders import CASES
from bench.equality import equality
from bench.family import FAMILIES, Checkpoint, checkpoints, present, write
from bench.measure import provide_ballast
from bench.small_tensors import Trial, small_tensors
from bench.speed import floor_contenders, speed, start_of_mergekit
from bench.table import Table

METHODS = tuple(case.method for case in CASES)
SMALL_METHODS = ("average", "task-arithmetic", "ties")
QUICK_NOTE = "Tiny families: that it works is shown, but the targets are not meant for these."
BUSY = 0.5


def main(argv: Sequence[str] | None = None) -> int:
    asked = parse(argv)
    load = os.getloadavg()[0]
    if load > BUSY:
        print(f"load {load:.1f}: what else is running will be in the numbers", file=sys.stderr)
    about = machine(asked.mergekit_python, load)
    tables: list[Table] = []
    for part in asked.parts:
        tables += PARTS[part](asked)
        text = keep(asked, tables, about)
    print(text)
    faults = [fault for table in tables for fault in table.faults]
    for fault in faults:
        print(f"FAILED {fault}", file=sys.stderr)
    return 1 if faults else 0


def speed_part(asked: argparse.Namespace) -> list[Table]:
    """Warmed up on a tiny family, whose figures are thrown away."""
    if not asked.quick:
        print("warming up", file=sys.stderr)
        measure_speed(asked, "tiny", runs=1)
    return measure_speed(asked, "tiny" if asked.quick else "full", asked.runs)


def measure_speed(asked: argparse.Namespace, name: str, runs: int) -> list[Table]:
    family = provide(name, asked.work)
    beside = floor_contenders(family, asked.work)
    if asked.mergekit_python and not asked.quick:
        beside |= start_of_mergekit(asked.mergekit_python)
    methods = asked.methods or (("average",) if asked.quick else METHODS)
    return speed(methods, family, asked.work, runs, asked.mergekit_python, beside)


def small_part(asked: argparse.Namespace) -> list[Table]:
    """mergekit takes part in what it can finish in minutes."""
    if asked.quick:
        trials = [Trial(300, provide("small-300", asked.work), ("average",))]
    else:
        trials = [
            Trial(count, provide(f"small-{count}", asked.work), ("average",), asked.mergekit_python)
            for count in (1_000, 3_000)
        ]
        most = provide("small-30000", asked.work)
        trials.append(Trial(30_000, most, asked.methods or SMALL_METHODS))
    return [small_tensors(trials, asked.work, asked.runs)]


def equal_part(asked: argparse.Namespace) -> list[Table]:
    """Nothing without mergekit."""
    if asked.mergekit_python is None:
        return []
    methods = asked.methods or (("ties",) if asked.quick else METHODS)
    family = provide("float32", asked.work)
    trials = [(method, method, family) for method in methods]
    if "ties" in methods and not asked.quick:
        trials.append(("ties, coarse values", "ties", provide("float32-coarse", asked.work)))
    return [equality(trials, asked.work, asked.mergekit_python)]


PARTS = {"speed": speed_part, "small": small_part, "equal": equal_part}


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m bench.against_mergekit",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--work", type=Path, required=True, help="families, outputs and results")
    parser.add_argument("--runs", type=int, help="of each contender (3; 1 with --quick)")
    parser.add_argument("--mergekit-python", type=Path, help="an interpreter that has mergekit")
    parser.add_argument("--quick", action="store_true", help="tiny families: does it all work?")
    parser.add_argument(
        "--full-cache", action="store_true", help="fill the page cache before every run"
    )
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--methods", nargs="+", choices=METHODS)
    asked = parser.parse_args(argv)
    asked.runs = asked.runs or (1 if asked.quick else 3)
    asked.work.mkdir(parents=True, exist_ok=True)
    provide_ballast(asked.work, wanted=asked.full_cache)
    return asked


def provide(name: str, work: Path) -> dict[str, Checkpoint]:
    """The family of this name, written if it is not there."""
    family, root = FAMILIES[name], work / "families"
    if not present(family, root):
        print(f"writing {name}: 4 x {family.numel:,} elements", file=sys.stderr)
        write(family, root)
    return checkpoints(name, root)


def machine(mergekit_python: Path | None, load: float) -> dict[str, object]:
    """What the numbers were taken on."""
    about: dict[str, object] = {
        "system": platform.system(),
        "processor": processor(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9, 1),
        "load_before": round(load, 2),
        "python": platform.python_version(),
        "torch": version(sys.executable, "torch"),
        "stockpot": version(sys.executable, "stockpot"),
    }
    if mergekit_python:
        about["mergekit"] = version(str(mergekit_python), "mergekit")
        about["mergekit's torch"] = version(str(mergekit_python), "torch")
    return about


def processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return next((x.partition(": ")[2] for x in lines if x.startswith("model name")), "unknown")


def version(python: str, package: str) -> str:
    """As the package's own metadata says; unknown when it runs from its sources."""
    code = f"from importlib.metadata import version; print(version('{package}'))"
    found = subprocess.run([python, "-c", code], capture_output=True, text=True, check=False)
    return found.stdout.strip() or "unknown"


def keep(asked: argparse.Namespace, tables: Sequence[Table], about: Mapping[str, object]) -> str:
    """After every part, so that a later one cannot take its figures along."""
    facts = ", ".join(f"{name} {value}" for name, value in about.items())
    head = f"{facts}; {asked.runs} runs." + (f" {QUICK_NOTE}" if asked.quick else "")
    text = "\n\n".join([head, *(table.markdown() for table in tables)])
    (asked.work / "results.md").write_text(text + "\n")
    kept = {"machine": about, "runs": asked.runs, "tables": [table.plain() for table in tables]}
    (asked.work / "results.json").write_text(json.dumps(kept, indent=2) + "\n")
    return text


if __name__ == "__main__":
    sys.exit(main())
