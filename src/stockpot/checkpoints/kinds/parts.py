"""Files that hold a part of one model: ranks of a distributed run, and parameters not gathered."""

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from ...errors import CheckpointError
from ..entry import Checkpoint, TensorEntry
from ..formats.untrusted import shown

VERL = re.compile(r"(model|optim)_world_size_(?P<size>\d+)_rank_(?P<rank>\d+)\.pt")
ACCELERATE = re.compile(r".*fsdp.*_rank_?(?P<rank>\d+)\.(bin|pt)")
ZERO_3 = re.compile(r"(bf16_)?zero_pp_rank_(?P<rank>\d+)_mp_rank_\d+_(model|optim)_states\.pt")
TENSOR_PARALLEL = re.compile(r"mp_rank_(?P<rank>\d+)_model_states\.pt")
CONSOLIDATED = re.compile(r"consolidated\.(?P<rank>\d+)\.pth")
MEGATRON = re.compile(r"mp_rank_(?P<rank>\d+)(_\d+)*")


def gather_verl(directory: Path) -> str:
    """How verl makes one model of its ranks."""
    return (
        f"python -m verl.model_merger merge --backend fsdp --local_dir {directory} "
        "--target_dir MERGED"
    )


def gather_zero(directory: Path) -> str:
    """How DeepSpeed makes one model of its ranks, from the folder that has the script."""
    here = next((f for f in (directory, directory.parent) if _has_script(f)), directory)
    script = f"python {here / 'zero_to_fp32.py'}"
    return f"{script if _has_script(here) else 'python zero_to_fp32.py'} {here} MERGED"


def _has_script(folder: Path) -> bool:
    return (folder / "zero_to_fp32.py").is_file()


def gather_megatron(directory: Path) -> str:
    """How Megatron-LM makes one model of its ranks."""
    return (
        "python tools/checkpoint/convert.py --model-type GPT --loader mcore --saver mcore "
        f"--target-tensor-parallel-size 1 --target-pipeline-parallel-size 1 --load-dir {directory} "
        "--save-dir MERGED"
    )


def refuse_part(path: Path) -> None:
    """Raise if the file's name says that it is one rank's part of a model.

    Raises:
        CheckpointError: saying of what it is a part, and the command that puts it together.
    """
    name, folder = path.name, path.parent
    if (match := VERL.fullmatch(name)) and int(match["size"]) > 1:
        raise CheckpointError(
            f"{path} is the part of rank {match['rank']} of {match['size']} of one FSDP run, not a "
            f"model. verl puts the ranks together:\n  {gather_verl(folder)}"
        )
    if ACCELERATE.fullmatch(name):
        raise CheckpointError(
            f"{path} is the part of one rank of an FSDP run, not a model: save it with "
            "fsdp_state_dict_type: FULL_STATE_DICT or SHARDED_STATE_DICT."
        )
    if match := ZERO_3.fullmatch(name):
        raise CheckpointError(
            f"{path} is the part of rank {match['rank']} of a DeepSpeed ZeRO run, not a model. The "
            f"script that DeepSpeed leaves beside it puts the ranks together:\n  "
            f"{gather_zero(folder)}"
        )
    for pattern, what in ((TENSOR_PARALLEL, "DeepSpeed"), (CONSOLIDATED, "Llama")):
        if (match := pattern.fullmatch(name)) and (other := _other_rank(path, match)):
            raise CheckpointError(
                f"{path} is the part of one tensor-parallel rank of one model ({what}); "
                f"{other} lies beside it. Convert the whole to transformers' format first."
            )
    if (match := MEGATRON.fullmatch(folder.name)) and (other := _other_rank(folder, match)):
        raise CheckpointError(
            f"{path} is the part of one rank of a Megatron-LM model; {other} lies beside it. "
            f"Megatron-LM's own tool puts the ranks together:\n  {gather_megatron(folder.parent)}"
        )


def _other_rank(path: Path, match: re.Match[str]) -> str | None:
    """A sibling whose name differs in the rank alone."""
    begin, end = match.span("rank")
    for step in (1, -1):
        rank = int(match["rank"]) + step
        other = f"{path.name[:begin]}{rank:0{end - begin}d}{path.name[end:]}"
        if rank >= 0 and path.with_name(other).exists():
            return other
    return None


def check_gathered(checkpoint: Checkpoint) -> Checkpoint:
    """Refuse a checkpoint most of whose weights are empty; note it where some are.

    DeepSpeed ZeRO-3 leaves a parameter of shape (0,) on each rank where nothing gathered it.

    Raises:
        CheckpointError: saying how many, and the command that gathers them.
    """
    weights = _weights(checkpoint.entries)
    empty = [name for name, entry in weights.items() if entry.shape == (0,)]
    if not empty:
        return checkpoint
    several = f"{len(empty)} tensors are" if len(empty) > 1 else "1 tensor is"
    what = f"{several} empty (shape (0,)), such as {shown(empty[0])}"
    if len(empty) > sum(len(entry.shape) > 1 for entry in weights.values()):
        raise CheckpointError(
            f"{checkpoint.label} is no whole model: {what}. DeepSpeed ZeRO-3 saved it without "
            "gathering its parameters. Make the weights of the checkpoint folder with "
            "zero_to_fp32.py, or train with stage3_gather_16bit_weights_on_model_save."
        )
    note = (
        f"{checkpoint.label}: {what}; if DeepSpeed ZeRO-3 saved it, they were not gathered and are "
        "lost here."
    )
    return replace(checkpoint, notes=(*checkpoint.notes, note))


def _weights(entries: Mapping[str, TensorEntry]) -> dict[str, TensorEntry]:
    return {
        name: entry
        for name, entry in entries.items()
        if name.rpartition(".")[2] == "weight" and entry.dtype.is_floating_point
    }
