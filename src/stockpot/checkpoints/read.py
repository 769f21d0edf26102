"""Read whatever stands at a path as a checkpoint: told by its first bytes, not by its name."""

import difflib
import re
import stat
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from ..errors import CheckpointError
from .entry import Checkpoint, from_state_dict
from .formats.directory import join, locate
from .formats.distributed import METADATA, SUFFIX, is_distributed, read_distributed
from .formats.in_memory import check_expansion
from .formats.quantised import refuse_quantised
from .formats.safetensors import MAX_HEADER, read_safetensors
from .formats.torch_files import read_torch
from .formats.untrusted import shown
from .kinds.adapters import refuse_adapter
from .kinds.files import refuse_file, tensorflow_checkpoint
from .kinds.parts import check_gathered, refuse_part
from .names.unwrap import unwrap
from .source import FileSource


def read_checkpoint(path: str | Path, *, key: str | None = None) -> Checkpoint:
    """The checkpoint at a path; nothing of a tensor is read before it is asked for.

    What torch.compile, FSDP and DistributedDataParallel put into names is taken off with a note.

    Args:
        path: a .safetensors file, a torch file of any name, or a directory with weights, such as
            one of torch.distributed.checkpoint.
        key: which dictionary of a torch file that nests several is the state dict: its keys joined
            by dots, or "." for the outermost.

    Raises:
        CheckpointError: saying what stands there, what was expected and what to do.
    """
    where = Path(path)
    try:
        mode = where.stat().st_mode
    except (OSError, ValueError) as error:
        raise _missing(str(path), where, error) from None
    if stat.S_ISDIR(mode) and is_distributed(where):
        checkpoint = read_distributed(where, key)
    elif stat.S_ISDIR(mode):
        weights = locate(where)
        checkpoint = join(where, weights, [read_file(where / f, key) for f in weights.files])
    elif stat.S_ISREG(mode):
        checkpoint = read_file(where, key)
    else:
        raise CheckpointError(f"{path} is neither a file nor a directory.")
    if not checkpoint.entries:
        raise CheckpointError(f"{path} holds no tensors.")
    written = {name: entry.nbytes for name, entry in checkpoint.entries.items()}
    check_expansion(written, sum(file.size for file in checkpoint.files), checkpoint.label)
    refuse_quantised(checkpoint)
    refuse_adapter(checkpoint.entries, checkpoint.label)
    return unwrap(check_gathered(checkpoint))


def read_given(state: Mapping[str, object], label: str) -> Checkpoint:
    """A state dict in memory as `read_checkpoint` gives a file: prefixes are taken off with a note.

    Raises:
        CheckpointError: naming the entry that is no dense tensor.
    """
    if not state:
        raise CheckpointError(f"{label} holds no tensors.")
    checkpoint = from_state_dict(state, label)
    refuse_adapter(checkpoint.entries, label)
    return unwrap(checkpoint)


def read_file(path: Path, key: str | None) -> Checkpoint:
    """One file of weights by itself, told by its first bytes; nothing is looked for beside it.

    Raises:
        CheckpointError: it is none.
    """
    source = FileSource(path)
    head = source.read(0, min(512, source.identity.size))
    if path.suffix == SUFFIX or path.name == METADATA:
        raise CheckpointError(
            f"{path} is a part of a checkpoint of torch.distributed.checkpoint: name its directory."
        )
    refuse_part(path)
    if not head:
        raise CheckpointError(f"{path} is empty: download or save it again.")
    length = int.from_bytes(head[:8], "little")
    if length <= MAX_HEADER and head[8:9] == b"{":
        return _unkeyed(read_safetensors(source), key)
    if head.startswith((b"PK\x03\x04", b"\x80")):
        return read_torch(source, key)
    refuse_file(path, head)
    if path.suffix == ".safetensors":
        return _unkeyed(read_safetensors(source), key)
    raise CheckpointError(
        f"{path} is neither a safetensors nor a torch file: it begins with {shown(head[:16])}."
    )


def _unkeyed(checkpoint: Checkpoint, key: str | None) -> Checkpoint:
    if key is None:
        return checkpoint
    note = f"{checkpoint.label}: key {shown(key)} not used, safetensors files nest nothing."
    return replace(checkpoint, notes=(*checkpoint.notes, note))


def _missing(text: str, path: Path, error: Exception) -> CheckpointError:
    if not isinstance(error, FileNotFoundError):
        reason = error.strerror if isinstance(error, OSError) else error
        return CheckpointError(f"cannot read {shown(text, 300)}: {reason}.")
    names = sorted(child.name for child in path.parent.glob("*"))
    if f"{path.name}.index" in names:
        return CheckpointError(tensorflow_checkpoint(path))
    if close := difflib.get_close_matches(path.name, names, 3):
        there = " or ".join(str(path.parent / name) for name in close)
        return CheckpointError(f"{text} does not exist. Did you mean {there}?")
    if re.fullmatch(r"[\w-]+(/[\w.-]+)?|\w+://.*", text):
        return CheckpointError(
            f"{text} does not exist. If it is the name of a model on a hub: those are not "
            "supported yet. Download it first, and name the directory."
        )
    return CheckpointError(f"{text} does not exist.")
