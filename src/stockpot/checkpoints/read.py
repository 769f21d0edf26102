"""Read whatever stands at a path as a checkpoint: told by its first bytes, not by its name."""

import difflib
import re
import stat
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from ..errors import CheckpointError
from .directory import join, locate
from .distributed import METADATA, SUFFIX, is_distributed, read_distributed
from .entry import Checkpoint, FileSource, TensorEntry, from_state_dict
from .given import check_expansion
from .quantised import refuse_quantised
from .safetensors import MAX_HEADER, read_safetensors
from .torchfile import read_torch
from .untrusted import shown

PREFIXES = ("module.", "_orig_mod.")
"""What DistributedDataParallel and torch.compile put before every name."""

FOREIGN = {
    b"version https://git-lfs": "is a git-lfs pointer, not the weights: run `git lfs pull` there",
    b"GGUF": "is a GGUF file, which is quantised or made for inference: merge what it was made of",
    b"\x89HDF": "is an HDF5 (Keras) file, which is not supported: save it as safetensors",
    b"\x1f\x8b": "is compressed (gzip): unpack it first",
    b"BZh": "is compressed (bzip2): unpack it first",
    b"\xfd7zXZ": "is compressed (xz): unpack it first",
    b"\x28\xb5\x2f\xfd": "is compressed (zstd): unpack it first",
    b"\x93NUMPY": "is a NumPy array, not a state dict: save it as safetensors under its name",
}
"""First bytes of what people pass by mistake, and what to do about it."""


def read_checkpoint(path: str | Path, *, key: str | None = None) -> Checkpoint:
    """The checkpoint at a path; nothing of a tensor is read before it is asked for.

    A prefix that every name has in common, `module.` or `_orig_mod.`, is taken off with a note.

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
        checkpoint = join(where, weights, [_read_file(where / f, key) for f in weights.files])
    elif stat.S_ISREG(mode):
        checkpoint = _read_file(where, key)
    else:
        raise CheckpointError(f"{path} is neither a file nor a directory.")
    if not checkpoint.entries:
        raise CheckpointError(f"{path} holds no tensors.")
    written = {name: entry.nbytes for name, entry in checkpoint.entries.items()}
    check_expansion(written, sum(file.size for file in checkpoint.files), checkpoint.label)
    refuse_quantised(checkpoint)
    return _strip_prefixes(checkpoint)


def read_given(state: Mapping[str, object], label: str) -> Checkpoint:
    """A state dict in memory as `read_checkpoint` gives a file: prefixes are taken off with a note.

    Raises:
        CheckpointError: naming the entry that is no dense tensor.
    """
    if not state:
        raise CheckpointError(f"{label} holds no tensors.")
    return _strip_prefixes(from_state_dict(state, label))


def _read_file(path: Path, key: str | None) -> Checkpoint:
    source = FileSource(path)
    head = source.read(0, min(512, source.identity.size))
    if path.suffix == SUFFIX or path.name == METADATA:
        raise CheckpointError(
            f"{path} is a part of a checkpoint of torch.distributed.checkpoint: name its directory."
        )
    if not head:
        raise CheckpointError(f"{path} is empty: download or save it again.")
    length = int.from_bytes(head[:8], "little")
    if length <= MAX_HEADER and head[8:9] == b"{":
        return _unkeyed(read_safetensors(source), key)
    if head.startswith((b"PK\x03\x04", b"\x80")):
        return read_torch(source, key)
    _refuse_foreign(path, head)
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


def _strip_prefixes(checkpoint: Checkpoint) -> Checkpoint:
    names = tuple(checkpoint.entries)
    cut = 0
    while found := [p for p in PREFIXES if all(name.startswith(p, cut) for name in names)]:
        cut += len(found[0])
    if not cut or any(len(name) == cut for name in names):
        return checkpoint
    entries: dict[str, TensorEntry] = {}
    for name, entry in checkpoint.entries.items():
        alias = entry.alias_of[cut:] if entry.alias_of else None
        entries[name[cut:]] = replace(entry, name=name[cut:], alias_of=alias)
    note = f"{checkpoint.label}: took the prefix {shown(names[0][:cut])} off all names."
    return replace(checkpoint, entries=entries, notes=(*checkpoint.notes, note))


def _refuse_foreign(path: Path, head: bytes) -> None:
    for magic, what in FOREIGN.items():
        if head.startswith(magic):
            raise CheckpointError(f"{path} {what}.")
    if head[257:262] == b"ustar":
        raise CheckpointError(f"{path} is a tar archive: unpack it first.")
    if re.match(rb"(\xef\xbb\xbf)?\s*<(!doctype html|html|head|\?xml|!--)", head, re.IGNORECASE):
        raise CheckpointError(
            f"{path} is a web page, not weights: the download saved an error or login page. "
            "Open it in a browser to see which, then download the file itself."
        )
    if head.lstrip().startswith(b"{"):
        what = "an index: name its directory instead" if "index" in path.name else "JSON text"
        raise CheckpointError(f"{path} is not weights but {what}.")


def _missing(text: str, path: Path, error: Exception) -> CheckpointError:
    if not isinstance(error, FileNotFoundError):
        reason = error.strerror if isinstance(error, OSError) else error
        return CheckpointError(f"cannot read {shown(text, 300)}: {reason}.")
    names = sorted(child.name for child in path.parent.glob("*"))
    if close := difflib.get_close_matches(path.name, names, 3):
        there = " or ".join(str(path.parent / name) for name in close)
        return CheckpointError(f"{text} does not exist. Did you mean {there}?")
    if re.fullmatch(r"[\w-]+(/[\w.-]+)?|\w+://.*", text):
        return CheckpointError(
            f"{text} does not exist. If it is the name of a model on a hub: those are not "
            "supported yet. Download it first, and name the directory."
        )
    return CheckpointError(f"{text} does not exist.")
