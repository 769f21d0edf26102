"""Seconds and peak memory of each merge, and what the disk and the imports alone take."""

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from bench.contenders import (
    CASES,
    DIGESTS_OFF,
    SMALL_MEMORY,
    Case,
    inputs_of,
    mergekit,
    mergekit_environment,
    stockpot,
)
from bench.family import FINE_TUNES, Checkpoint
from bench.measure import (
    Contender,
    Summary,
    clean_slate,
    execute,
    interleave,
    read_plainly,
    timed,
    write_plainly,
)
from bench.table import NOTHING, Table, judged, shown_megabytes, shown_ratio

OURS, OURS_BARE, OURS_SMALL, THEIRS = "stockpot", "no digests", "256 MiB", "mergekit"
READ, WRITE, SYNCED = "read the inputs", "write the output", "write it and wait for the disk"
TORCH, PACKAGE, THEIR_START = "import torch", "import torch, stockpot", "mergekit --help"
AVERAGE = "average"
FLOOR = (READ, WRITE, SYNCED, TORCH, PACKAGE, THEIR_START)

FASTER = {"average": 3, "task-arithmetic": 3, "ties": 15, "slerp": 10, "model-stock": 3}
FASTER_BARE = FASTER | {"average": 4, "task-arithmetic": 4, "model-stock": 4}
ABOVE_IMPORT_MB = 300
OVER_FLOOR = 2.5


def measure_case(
    case: Case,
    family: Mapping[str, Checkpoint],
    work: Path,
    runs: int,
    mergekit_python: Path | None,
    beside: Mapping[str, Contender],
) -> dict[str, Summary]:
    """One method by all contenders, and by whatever is to be measured in the same minutes."""
    outputs = work / "out"
    contenders: dict[str, Contender] = {
        OURS: stockpot(case, family, outputs / "merged"),
        OURS_BARE: stockpot(case, family, outputs / "merged", *DIGESTS_OFF),
        OURS_SMALL: stockpot(case, family, outputs / "merged", *SMALL_MEMORY),
        **beside,
    }
    if mergekit_python:
        dtype = "bfloat16"
        contenders[THEIRS] = mergekit(
            case, family, outputs / "theirs", mergekit_python, dtype=dtype
        )
    print(f"{case.method}:", file=sys.stderr)
    return interleave(contenders, runs, clean_slate(outputs, inputs_of(case, family)))


def floor_contenders(family: Mapping[str, Checkpoint], work: Path) -> dict[str, Contender]:
    """What a merge cannot avoid: its bytes read and written, and torch imported."""
    inputs = [shard for model in FINE_TUNES for shard in family[model].shards]
    size = sum(shard.stat().st_size for shard in family[FINE_TUNES[0]].shards)
    target = work / "out" / "plain"
    return {
        READ: timed(lambda: read_plainly(inputs)),
        WRITE: timed(lambda: write_plainly(target, size, durable=False)),
        SYNCED: timed(lambda: write_plainly(target, size, durable=True)),
        TORCH: lambda: execute((sys.executable, "-c", "import torch")),
        PACKAGE: lambda: execute((sys.executable, "-c", "import torch, stockpot")),
    }


def start_of_mergekit(python: Path) -> dict[str, Contender]:
    """What mergekit takes before it merges anything: much of its time on a small model."""
    command = (python, "-m", "mergekit.scripts.run_yaml", "--help")
    return {THEIR_START: lambda: execute(command, mergekit_environment())}


def speed(
    methods: Sequence[str],
    family: Mapping[str, Checkpoint],
    work: Path,
    runs: int,
    mergekit_python: Path | None,
    beside: Mapping[str, Contender],
) -> list[Table]:
    """Seconds, memory, and the floor: `beside`, measured in the rounds of the first method."""
    found: dict[str, dict[str, Summary]] = {}  # average, if it is asked for, is the first
    for case in CASES:
        if case.method in methods:
            also = {} if found else beside
            found[case.method] = measure_case(case, family, work, runs, mergekit_python, also)
    first = next(iter(found.values()))
    return [
        seconds_table(found),
        memory_table(found, first[PACKAGE]),
        floor_table(first, found.get(AVERAGE)),
    ]


def seconds_table(found: Mapping[str, Mapping[str, Summary]]) -> Table:
    rows = [
        (
            method,
            str(of[OURS]),
            str(of[OURS_BARE]),
            str(of.get(THEIRS, NOTHING)),
            shown_ratio(of.get(THEIRS), of[OURS], FASTER[method]),
            shown_ratio(of.get(THEIRS), of[OURS_BARE], FASTER_BARE[method]),
        )
        for method, of in found.items()
    ]
    return Table(
        "Seconds: whole processes, median (least to most)",
        ("merge", OURS, OURS_BARE, THEIRS, "faster", "faster, no digests"),
        rows,
        measured={f"{m}, {who}": s for m, of in found.items() for who, s in of.items()},
        faults=[
            f"{m}, {who}: {s.fault}" for m, of in found.items() for who, s in of.items() if s.fault
        ],
    )


def memory_table(found: Mapping[str, Mapping[str, Summary]], package: Summary) -> Table:
    rows: list[tuple[str, ...]] = []
    for method, of in found.items():
        small = of[OURS_SMALL]
        above = small.peak_mb - package.peak_mb
        shown = judged(f"{above:.0f} MB", above, at_most=ABOVE_IMPORT_MB)
        rows.append(
            (
                method,
                shown_megabytes(of[OURS]),
                shown_megabytes(small),
                NOTHING if small.fault or package.fault else shown,
                str(small),
                shown_megabytes(of.get(THEIRS)),
            )
        )
    return Table(
        "Peak resident memory",
        ("merge", OURS, "--memory 256MiB", "above the imports", "its seconds", THEIRS),
        rows,
        note=f"`{PACKAGE}` alone holds {shown_megabytes(package)}. A process's peak counts the "
        "pages of files that it maps, which is how mergekit reads.",
    )


def floor_table(of: Mapping[str, Summary], average: Mapping[str, Summary] | None) -> Table:
    """What reading three models and writing one takes; and how far above it the average stands."""
    rows = [(name, str(of[name])) for name in FLOOR if name in of]
    if average and not (bare := average[OURS_BARE]).fault:
        fixed = of[READ].seconds + of[TORCH].seconds
        over = bare.seconds / (fixed + of[WRITE].seconds)
        over_synced = bare.seconds / (fixed + of[SYNCED].seconds)
        rows += [
            (
                "average, no digests, over reading + writing + `import torch`",
                judged(f"{over:.2f}", over, at_most=OVER_FLOOR),
            ),
            ("the same, with the wait for the disk in the floor", f"{over_synced:.2f}"),
        ]
    return Table("The floor", ("what", "seconds"), rows)
