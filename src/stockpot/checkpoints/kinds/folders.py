"""Folders that are no checkpoint: parts for each rank, runs, caches of hubs, other frameworks."""

import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from ...errors import CheckpointError
from ..formats.untrusted import listed, shown
from .files import tensorflow_checkpoint
from .parts import (
    MEGATRON,
    TENSOR_PARALLEL,
    VERL,
    ZERO_3,
    gather_megatron,
    gather_verl,
    gather_zero,
)

STEP = re.compile(r"(checkpoint|step|epoch|iter)[-_]?(\d+)")
GLOBAL_STEP = re.compile(r"global_step\d+")
WEIGHTS = (".safetensors", ".bin", ".pt", ".pth", ".ckpt", ".distcp")
_LOOKED_AT = 200
"""Sub-folders that are looked into."""


def refuse_parts(directory: Path, names: Sequence[str]) -> None:
    """Raise if the files of a directory are the parts of the ranks of one run.

    Args:
        directory: a folder without weights under a library's usual name.
        names: of its files.

    Raises:
        CheckpointError: saying of which kind of run, and the command that puts them together.
    """
    ranks = [match for name in names if (match := VERL.fullmatch(name))]
    if any(int(match["size"]) > 1 for match in ranks):
        raise CheckpointError(
            f"{directory} holds the parts of {ranks[0]['size']} ranks of one FSDP run. verl puts "
            f"them together:\n  {gather_verl(directory)}"
        )
    folders = _folders(directory)
    states = [n for n in names if ZERO_3.fullmatch(n) or TENSOR_PARALLEL.fullmatch(n)]
    steps = [f for f in folders if GLOBAL_STEP.fullmatch(f.name)]
    if states or steps or "zero_to_fp32.py" in names:
        raise _deepspeed(directory, steps, states)
    if any(MEGATRON.fullmatch(folder.name) for folder in folders):
        raise CheckpointError(
            f"{directory} is a Megatron-LM checkpoint, parts for each rank. Megatron-LM's own tool "
            f"puts them together:\n  {gather_megatron(directory)}"
        )


def refuse_weightless(directory: Path, names: Sequence[str]) -> None:
    """Raise if a directory without weights is of a known kind, or has them in a sub-folder.

    Raises:
        CheckpointError: saying what it is, and what to name or run instead.
    """
    if "adapter_config.json" in names:
        raise CheckpointError(
            f"{directory} is a PEFT adapter{_peft_type(directory)}, which is not supported yet: "
            "merge it into its base model with peft's merge_and_unload(), and name what that saves."
        )
    for name in names:
        if name.endswith(".index") and any(n.startswith(name[:-5] + "data-") for n in names):
            raise CheckpointError(tensorflow_checkpoint(directory / name.removesuffix(".index")))
    if "saved_model.pb" in names:
        raise CheckpointError(
            f"{directory} is a SavedModel of TensorFlow's, which stockpot does not read: load it "
            "with TensorFlow and save its weights as safetensors."
        )
    if (snapshot := _snapshot(directory)) is not None:
        raise CheckpointError(
            f"{directory} is the cache of a hub for one model: name the directory of one revision, "
            f"{snapshot}."
        )
    holding = [f for f in _folders(directory)[:_LOOKED_AT] if _has_weights(f)]
    steps = [(int(m[2]), f) for f in holding if (m := STEP.fullmatch(f.name))]
    if steps:
        raise CheckpointError(
            f"{directory} is the folder of a run with {len(steps)} checkpoint(s) in it and no "
            f"weights of its own: name one, such as the last, {max(steps)[1]}."
        )
    pools = [f for f in _folders(directory) if f.name.startswith("pool-")]
    if "experiment.json" in names and pools:
        files = sorted(pools[0].glob("*.safetensors"))
        raise CheckpointError(
            f"{directory} is the folder of a run: its networks are files in its folders "
            f"{listed(f.name for f in pools)}. Name those files, such as {(files or pools)[-1]}; "
            "`stockpot diagnose` and the studies of checkpoints take the folder itself."
        )
    if holding:
        raise CheckpointError(
            f"{directory} has no weights in it, but its folders {listed(f.name for f in holding)} "
            f"have: name one of them, such as {holding[0]}."
        )


def _deepspeed(directory: Path, steps: Sequence[Path], states: Sequence[str]) -> CheckpointError:
    whole = [name for name in states if TENSOR_PARALLEL.fullmatch(name)]
    last = max(steps, key=lambda f: int(f.name.removeprefix("global_step")), default=directory)
    whole += [f.name for f in last.glob("*_model_states.pt") if TENSOR_PARALLEL.fullmatch(f.name)]
    mend = ""
    if len(set(whole)) == 1:
        mend = f"\nOf ZeRO 0 to 2, {last / whole[0]} has the 16-bit weights, and can be named."
    return CheckpointError(
        f"{directory} is a DeepSpeed checkpoint, parts for each rank. The script that DeepSpeed "
        f"leaves beside it puts them together:\n  {gather_zero(directory)}{mend}"
    )


def _peft_type(directory: Path) -> str:
    try:
        config = json.loads((directory / "adapter_config.json").read_text(encoding="utf8")[: 10**6])
        return f" ({shown(config['peft_type'], 20)})"
    except (OSError, ValueError, RecursionError, KeyError, TypeError):
        return ""


def _snapshot(directory: Path) -> Path | None:
    """The revision that a folder of a hub's cache holds: of several, the one of `main`."""
    root = directory.parent if directory.name == "snapshots" else directory
    revisions = _folders(root / "snapshots")
    if not revisions:
        return None
    main = root / "refs" / "main"
    wanted = main.read_text(encoding="utf8")[:100].strip() if main.is_file() else ""
    return next((f for f in revisions if f.name == wanted), revisions[-1])


def _folders(directory: Path) -> list[Path]:
    try:
        return sorted(child for child in directory.iterdir() if child.is_dir())
    except OSError:
        return []


def _has_weights(directory: Path) -> bool:
    return any(name.endswith(WEIGHTS) for name in _names(directory))


def _names(directory: Path) -> Iterator[str]:
    try:
        yield from (child.name for child in directory.iterdir() if child.is_file())
    except OSError:
        return
