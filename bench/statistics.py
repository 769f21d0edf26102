"""The statistics of three models in one pass, beside averaging the same files in the same run.

    python -m bench.statistics --work DIR [--runs 3] [--family full] [--memory 512MiB]

Whole processes: `stockpot merge average` with its digests as it comes, and `statistics_of`, around
the mean and around the base. The family is that of bench.family, 0.55 B parameters in bfloat16.
"""

import argparse
import sys
from pathlib import Path

from bench.family import FAMILIES, FINE_TUNES, Checkpoint, checkpoints, present, write
from bench.measure import Summary, clean_slate, execute, interleave
from stockpot.studies import statistics_of

TARGET, ROOM_MB = 1.5, 512 * 1.048576
AVERAGE, MEAN, BASE, START = "average", "statistics", "statistics, base", "import torch, stockpot"


def bench(work: Path, family: str, runs: int, memory: str) -> None:
    if not present(FAMILIES[family], work):
        print(f"writing {family}", file=sys.stderr)
        write(FAMILIES[family], work)
    models = checkpoints(family, work)
    paths = [models[name].directory for name in FINE_TUNES]
    once = [sys.executable, "-m", "bench.statistics", "--memory", memory, "--once", *paths]
    merge = [sys.executable, "-m", "stockpot", "merge", "average", *paths, "--memory", memory]
    commands: dict[str, list[str | Path]] = {
        AVERAGE: [*merge, "--quiet", "--device", "cpu", "--out", work / "out" / "merged"],
        MEAN: once,
        BASE: [*once, "--base", models["base"].directory],
        START: [sys.executable, "-c", "import torch, stockpot"],
    }
    files = [file for model in models.values() for file in Checkpoint(model.directory).shards]
    found = interleave(
        {name: lambda c=command: execute(c) for name, command in commands.items()},
        runs,
        clean_slate(work / "out", files),
    )
    report(found)


def report(found: dict[str, Summary]) -> None:
    least = {name: min(run.cpu_seconds for run in of.runs) for name, of in found.items()}
    for name, of in found.items():
        above = of.peak_mb - found[START].peak_mb
        print(
            f"{name}: {of}, {least[name]:.1f} processor-seconds, {above:.0f} MB above the imports"
        )
    for name in (MEAN, BASE):
        ratio = found[name].seconds / found[AVERAGE].seconds
        of = "" if name == BASE else f" (target {TARGET:g}x within {ROOM_MB:.0f} MB)"
        cpu = least[name] / least[AVERAGE]
        print(f"{name}: {ratio:.2f}x the average{of}, {cpu:.2f}x its processor time")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path)
    parser.add_argument("--family", default="full", choices=list(FAMILIES))
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--memory", default="512MiB")
    parser.add_argument("--once", nargs="+", type=Path)
    parser.add_argument("--base", type=Path)
    said = parser.parse_args()
    if said.once:
        found = statistics_of(said.once, said.base, memory=said.memory)
        print(len(found.tensors), "tensors")
    else:
        bench(said.work, said.family, said.runs, said.memory)


if __name__ == "__main__":
    main()
