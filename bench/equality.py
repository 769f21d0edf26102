"""The same merge in float32 by both: how far apart the numbers are, and where.

TIES keeps the k largest of a tensor's task vector. Where several elements are as large as the k-th,
mergekit keeps as many of them as fit, in the order of its sort; stockpot keeps all. And where the
kept values of an element cancel, rounding decides the vote. Only such elements may differ.

Legend: N elements of one tensor.
"""

import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors import safe_open

from bench.contenders import CASES, Case, inputs_of, mergekit, stockpot
from bench.family import Checkpoint
from bench.measure import clean_slate, interleave
from bench.table import NOTHING, Table, judged

TOLERANCE = 2e-6
TIES_DENSITY = 0.2
SIGN_ROUNDING = 2.0**-22  # of the sum of magnitudes: what float32 may lose in adding three

Float_N = NDArray[np.float32]
Bool_N = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Difference:
    """Two results of one merge; `largest` is over the elements that have no excuse."""

    elements: int
    largest: float
    on_threshold: int = 0
    sign_ties: int = 0

    @property
    def equal(self) -> bool:
        return self.largest <= TOLERANCE


def kth_largest(values_N: Float_N, density: float) -> np.float32:
    """The smallest of the k = max(1, floor(density N)) largest magnitudes."""
    magnitudes_N = np.abs(values_N)
    k = max(1, int(density * magnitudes_N.size))
    return np.partition(magnitudes_N, -k)[-k]


def excuses(base_N: Float_N, models_N: Sequence[Float_N], density: float) -> tuple[Bool_N, Bool_N]:
    """Elements on the threshold of some model, and elements whose kept values cancel."""
    on_threshold_N = np.zeros(base_N.shape, dtype=bool)
    total_N = np.zeros(base_N.shape)
    size_N = np.zeros(base_N.shape)
    for model_N in models_N:
        delta_N = model_N - base_N
        threshold = kth_largest(delta_N, density)
        on_threshold_N |= np.abs(delta_N) == threshold
        kept_N = np.where(np.abs(delta_N) >= threshold, delta_N, 0).astype(np.float64)
        total_N += kept_N
        size_N += np.abs(kept_N)
    sign_tie_N = (size_N > 0) & (np.abs(total_N) <= SIGN_ROUNDING * size_N)
    return on_threshold_N, sign_tie_N


def tensors(files: Sequence[Path]) -> Iterator[tuple[str, Float_N]]:
    for file in files:
        with safe_open(file, framework="numpy") as reader:
            for name in reader.keys():  # noqa: SIM118  (not a mapping)
                yield name, reader.get_tensor(name).reshape(-1)


def compare(
    case: Case, family: Mapping[str, Checkpoint], ours: Sequence[Path], theirs: Sequence[Path]
) -> Difference:
    """Every element of every tensor, both ways."""
    ours_by_name, theirs_by_name = dict(tensors(ours)), dict(tensors(theirs))
    if ours_by_name.keys() != theirs_by_name.keys():
        raise ValueError(f"different tensors: {ours_by_name.keys() ^ theirs_by_name.keys()}")
    inputs = {model: dict(tensors(family[model].shards)) for model in ("base", *case.inputs)}
    counted: Counter[str] = Counter()
    largest = 0.0
    for name, ours_N in ours_by_name.items():
        far_N = np.abs(ours_N.astype(np.float64) - theirs_by_name[name])
        excused_N = np.zeros(ours_N.shape, dtype=bool)
        if case.method == "ties":
            models_N = [inputs[model][name] for model in case.inputs]
            threshold_N, tie_N = excuses(inputs["base"][name], models_N, TIES_DENSITY)
            differs_N = far_N > TOLERANCE
            counted["threshold"] += int(np.sum(differs_N & threshold_N))
            counted["tie"] += int(np.sum(differs_N & tie_N & ~threshold_N))
            excused_N = threshold_N | tie_N
        counted["elements"] += ours_N.size
        unexcused_N = np.nan_to_num(far_N[~excused_N], nan=np.inf)  # NaN is not small
        largest = max(largest, float(np.max(unexcused_N, initial=0.0)))
    return Difference(counted["elements"], largest, counted["threshold"], counted["tie"])


def equality(
    trials: Sequence[tuple[str, str, Mapping[str, Checkpoint]]], work: Path, mergekit_python: Path
) -> Table:
    """Both tools once per trial (a label, a method, a family), then their outputs side by side."""
    outputs = work / "out"
    ours, theirs = Checkpoint(outputs / "merged"), Checkpoint(outputs / "theirs")
    rows: list[tuple[str, ...]] = []
    faults: list[str] = []
    for label, method, family in trials:
        case = next(case for case in CASES if case.method == method)
        print(f"equal numbers, {label}:", file=sys.stderr)
        clean_slate(outputs, inputs_of(case, family))()
        contenders = {
            "stockpot": stockpot(case, family, ours.directory),
            "mergekit": mergekit(case, family, theirs.directory, mergekit_python, dtype="float32"),
        }
        found = interleave(contenders, 1, before=lambda: None)
        if broken := [f"{label}, {who}: {s.fault}" for who, s in found.items() if s.fault]:
            faults += broken
            rows.append((label, "; ".join(broken), NOTHING, NOTHING, NOTHING))
            continue
        seen = compare(case, family, ours.shards, theirs.shards)
        if not seen.equal:
            faults.append(f"{label}: differs by {seen.largest:.2g}")
        rows.append(
            (
                label,
                f"{seen.elements:,}",
                judged(f"{seen.largest:.2g}", seen.largest, at_most=TOLERANCE),
                f"{seen.on_threshold:,}",
                f"{seen.sign_ties:,}",
            )
        )
    return Table(
        "Equal numbers in float32",
        ("merge", "elements", "largest difference", "differ on the threshold", "differ, sign tie"),
        rows,
        note="The largest difference leaves out the elements of the last two columns' kinds: those "
        "whose task vector is as large as the k-th largest of its tensor, and those whose kept "
        "values cancel to rounding. The coarse family has bfloat16's values, so that many "
        "magnitudes are equal.",
        faults=faults,
    )
