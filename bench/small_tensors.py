"""Thirty thousand small tensors: the cost of a tensor, apart from the cost of its bytes."""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.contenders import CASES, inputs_of, mergekit, stockpot
from bench.family import Checkpoint
from bench.measure import Summary, clean_slate, interleave
from bench.table import NOTHING, Table, judged

OURS, THEIRS = "stockpot", "mergekit"
AT_MOST_SECONDS = 12
THEIR_TIMEOUT = 200.0


@dataclass(frozen=True, slots=True)
class Trial:
    """One family, the merges to make of it, and mergekit's interpreter where it is to take part."""

    count: int
    family: Mapping[str, Checkpoint]
    methods: Sequence[str]
    mergekit_python: Path | None = None


def small_tensors(trials: Sequence[Trial], work: Path, runs: int) -> Table:
    found: dict[tuple[int, str], dict[str, Summary]] = {}
    outputs = work / "out"
    for trial in trials:
        for case in (case for case in CASES if case.method in trial.methods):
            contenders = {OURS: stockpot(case, trial.family, outputs / "merged")}
            if trial.mergekit_python:
                contenders[THEIRS] = mergekit(
                    case,
                    trial.family,
                    outputs / "theirs",
                    trial.mergekit_python,
                    dtype="float32",
                    any_architecture=True,
                    timeout=THEIR_TIMEOUT,
                )
            print(f"{trial.count:,} tensors, {case.method}:", file=sys.stderr)
            before = clean_slate(outputs, inputs_of(case, trial.family))
            found[trial.count, case.method] = interleave(contenders, runs, before)
    return table(found)


def table(found: Mapping[tuple[int, str], Mapping[str, Summary]]) -> Table:
    rows: list[tuple[str, ...]] = []
    largest = max(count for count, _ in found)
    for (count, method), of in found.items():
        ours = of[OURS]
        shown = str(ours)
        if count == largest and not ours.fault:
            shown = judged(shown, ours.seconds, at_most=AT_MOST_SECONDS)
        rows.append((f"{count:,}", method, shown, str(of.get(THEIRS, NOTHING))))
    return Table(
        "Small tensors: 1,024 elements each, three models",
        ("tensors", "merge", OURS, THEIRS),
        rows,
        note="mergekit's entry for any architecture, mergekit-pytorch; its time grows with the "
        "square of the number of tensors, so it takes part in the smaller ones only.",
        measured={
            f"{c} tensors, {m}, {who}": s for (c, m), of in found.items() for who, s in of.items()
        },
        faults=[
            f"{count} tensors, {method}, stockpot: {of[OURS].fault}"
            for (count, method), of in found.items()
            if of[OURS].fault
        ],
    )
