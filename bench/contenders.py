"""The same merge said in stockpot's words and in mergekit's, as commands that can be run.

Weights are 1 throughout, mergekit's are written out, and every field that the two name differently
or default differently is stated on both sides, so that both compute the same numbers.
"""

import json
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from bench.family import FINE_TUNES, Checkpoint
from bench.measure import DAY, Contender, Run, execute

STOCKPOT = (sys.executable, "-m", "stockpot")
DIGESTS_OFF = ("--digest", "none")
SMALL_MEMORY = ("--memory", "256MiB")


@dataclass(frozen=True, slots=True)
class Case:
    """One merge. The fields follow each tool's own vocabulary."""

    method: str
    mergekit_method: str
    flags: tuple[str, ...] = ()
    parameters: Mapping[str, object] = field(default_factory=dict[str, object])
    per_model: Mapping[str, object] = field(default_factory=dict[str, object])
    base: bool = False
    inputs: tuple[str, ...] = FINE_TUNES


CASES = (
    Case("average", "linear", (), {"normalize": True}, {"weight": 1.0}),
    Case(
        "task-arithmetic",
        "task_arithmetic",
        ("--scale", "0.3"),
        {"normalize": False, "lambda": 0.3},
        {"weight": 1.0},
        base=True,
    ),
    Case(
        "ties",
        "ties",
        ("--density", "0.2", "--trim", "tensor"),
        {"normalize": True, "lambda": 1.0},
        {"weight": 1.0, "density": 0.2},
        base=True,
    ),
    Case("slerp", "slerp", ("--t", "0.4"), {"t": 0.4}, inputs=FINE_TUNES[:2]),
    Case("model-stock", "model_stock", ("--no-clip",), {"filter_wise": False}, base=True),
)


def inputs_of(case: Case, family: Mapping[str, Checkpoint]) -> list[Path]:
    """The files that the merge reads."""
    models = [*(["base"] if case.base else []), *case.inputs]
    return [shard for model in models for shard in family[model].shards]


def merged(run: Run, out: Path, like: Checkpoint) -> Run:
    """The run, with a fault if what it left is not a model of the same size."""
    size, expected = (
        sum(shard.stat().st_size for shard in model.shards) for model in (Checkpoint(out), like)
    )
    if run.fault or abs(size - expected) < 0.1 * expected:
        return run
    return replace(run, fault=f"left {size:,} bytes of weights")


def stockpot(case: Case, family: Mapping[str, Checkpoint], out: Path, *extra: str) -> Contender:
    """`stockpot merge` as a process of its own."""
    models = [family[model].directory for model in case.inputs]
    base = ("--base", family["base"].directory) if case.base else ()
    command = (*STOCKPOT, "merge", case.method, *models, *base, *case.flags)

    def once() -> Run:
        run = execute((*command, *extra, "--out", out, "--quiet"))
        return merged(run, out, family[case.inputs[0]])

    return once


def mergekit_config(case: Case, paths: Mapping[str, Path], dtype: str) -> str:
    """The configuration as JSON, which is YAML. mergekit wants a base_model for every method."""
    config = {
        "merge_method": case.mergekit_method,
        "base_model": str(paths["base" if case.base else case.inputs[0]]),
        "dtype": dtype,
        "models": [
            {"model": str(paths[model]), "parameters": dict(case.per_model)}
            for model in case.inputs
        ],
        "parameters": dict(case.parameters),
    }
    return json.dumps(config, indent=2)


def mergekit(
    case: Case,
    family: Mapping[str, Checkpoint],
    out: Path,
    python: Path,
    *,
    dtype: str,
    any_architecture: bool = False,
    timeout: float = DAY,
) -> Contender:
    """mergekit as a process of its own; any_architecture takes its entry for bare weight files."""
    if any_architecture:
        paths = {name: checkpoint.single_file for name, checkpoint in family.items()}
        entry, flags = "merge_raw_pytorch", ()
    else:
        paths = {name: checkpoint.directory for name, checkpoint in family.items()}
        entry, flags = "run_yaml", ("--no-copy-tokenizer", "--no-write-model-card")
    start = f"from mergekit.scripts.{entry} import main; main()"

    def once() -> Run:
        config = out.with_suffix(".yml")
        config.write_text(mergekit_config(case, {k: p.resolve() for k, p in paths.items()}, dtype))
        command = (python, "-c", start, config, out, *flags, "--quiet")
        return merged(
            execute(command, mergekit_environment(), timeout), out, family[case.inputs[0]]
        )

    return once


def mergekit_environment() -> dict[str, str]:
    """This process's environment, offline, and without a path to another package's modules."""
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    return kept | {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1"}
