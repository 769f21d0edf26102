"""Files written by torch.save. A pickle is scanned, and only then read with weights_only=True.

The storages of a zip file (torch >= 1.6) stay where they are: torch loads the file onto the meta
device, which tells where each storage lies, and tensors are read by position from there. Older
files load whole.
"""

import re
import struct
import warnings
import zipfile
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import replace
from typing import Any, cast

import torch
from torch import Tensor

from ...errors import CheckpointError
from ..entry import Checkpoint, TensorEntry, from_state_dict
from ..kinds.files import refuse_archive
from ..pickles.budget import LARGEST, PickleError
from ..pickles.refusals import refusal
from ..pickles.torch_files import scan_legacy, scan_record
from ..source import FileSource, PartSource
from .in_memory import why_not_dense
from .nested import find_state_dict
from .safetensors import DTYPES
from .strided import StridedSource
from .untrusted import shown

SKIPS_STORAGES = hasattr(torch.serialization, "_is_meta_location")
"""Whether this torch reads no storages when it loads onto the meta device; otherwise
FakeTensorMode is what makes it leave them, at five times the cost for each tensor."""

LOCAL_HEADER = struct.Struct("<26x2H")
"""What stands before a record of a zip file: at its end, the bytes of its name and extra field."""


def read_torch(source: FileSource, key: str | None) -> Checkpoint:
    """Every tensor of the state dict in one file, in the order in which it names them.

    Args:
        source: the file, a zip file or a pickle by its first bytes.
        key: which of several state dicts; see `find_state_dict`.

    Raises:
        CheckpointError: naming what the file is, the tensor or the global that was refused.
    """
    path = source.path
    zipped = source.read(0, 2) == b"PK"
    records = _records(source) if zipped else None
    if records is None:
        _check_legacy(source)
    content = _load(source, zipped)
    if source.changed():
        raise CheckpointError(f"{path} changed while it was read: wait until it is complete.")
    state, notes = find_state_dict(content, key, str(path))
    for name, tensor in state.items():
        if why := _why_not(name, tensor):
            raise CheckpointError(f"{shown(name)} in {path} {why}.")
    # a pickle may put anything in the place of a tensor's methods, by attributes of the same name
    state = {name: torch.Tensor.detach(tensor) for name, tensor in state.items()}
    if records is not None:
        entries = _entries(state, source, records)
        return Checkpoint(str(path), entries, (source,), notes=notes)
    return replace(from_state_dict(state, str(path)), files=(source,), notes=notes)


def read_one(source: PartSource, name: str) -> TensorEntry:
    """The tensor that torch.save wrote by itself, not in a dictionary, into a part of a file.

    Raises:
        CheckpointError: the part is something else, or is damaged.
    """
    zipped = source.read(0, 2) == b"PK"
    records = _records(source) if zipped else dict[int, int]()
    content = _load(source, True) if zipped else None
    if not isinstance(content, Tensor):
        raise CheckpointError(f"{source.path} does not hold {shown(name)} where it should.")
    if why := _why_not(name, content):
        raise CheckpointError(f"{shown(name)} in {source.path} {why}.")
    return _entries({name: torch.Tensor.detach(content)}, source, records)[name]


def _records(source: FileSource | PartSource) -> Mapping[int, int]:
    """Where each record of a torch zip file begins -> its bytes."""
    path, size = source.path, source.size
    try:
        with source.open() as file, zipfile.ZipFile(file) as archive:
            members = archive.infolist()
    except Exception as error:  # zipfile lets errors of struct and of codecs through
        raise CheckpointError(
            f"{path} is truncated or damaged, its zip directory cannot be read "
            f"({str(error)[:80]}): download or save it again."
        ) from None
    refuse_archive(path, [member.filename for member in members])
    names = {member.filename.partition("/")[2] for member in members}
    if "constants.pkl" in names:
        raise CheckpointError(
            f"{path} is a TorchScript archive, which holds code: save the state_dict() of "
            "torch.jit.load(...) instead."
        )
    if "data.pkl" not in names:
        raise CheckpointError(
            f"{path} is a zip file, but not one of torch.save; it holds "
            f"{shown(members[0].filename) if members else 'nothing'}: unpack it first."
        )
    found: dict[int, int] = {}
    for member in members:
        if member.compress_type != zipfile.ZIP_STORED or member.flag_bits & 1:
            raise CheckpointError(
                f"{shown(member.filename)} in {path} is compressed or encrypted, which torch.save "
                "never does: load it and save it again."
            )
        begin = member.header_offset + LOCAL_HEADER.size
        if begin <= size:
            begin += sum(LOCAL_HEADER.unpack(source.read(member.header_offset, LOCAL_HEADER.size)))
        if member.file_size != member.compress_size or begin + member.file_size > size:
            raise CheckpointError(
                f"{path} is damaged at {shown(member.filename)}: download or save it again."
            )
        found[begin] = member.file_size
    _check_records(source)
    return found


def _check_records(source: FileSource | PartSource) -> None:
    """Refuse a pickle that must not be read, and settings that make torch crash.

    Those are an alignment of 0, and bytes to swap that it has not read. Torch's own reader is
    asked, as it may see other records than zipfile does, such as in capitals.
    """
    path = source.path
    try:
        with source.open() as file:
            reader = cast(Any, torch)._C.PyTorchFileReader(file)
            order, alignment = (
                reader.get_record(name) if reader.has_record(name) else usual
                for name, usual in (("byteorder", b"little"), (".storage_alignment", b"64"))
            )
            raw: bytes = _pickle_of(reader)
        scan_record(raw)
    except (RuntimeError, ValueError, PickleError) as error:
        raise refusal(path, error) from None
    if order != b"little":
        raise CheckpointError(
            f"{path} was saved on a big-endian machine: load it and save it again on this one."
        )
    if not re.fullmatch(rb"[1-9]\d{0,9}", alignment):
        raise CheckpointError(
            f"{path} is damaged: its .storage_alignment is {shown(alignment)}. Save it again."
        )


def _pickle_of(reader: Any) -> bytes:
    size: int = reader.get_record_size("data.pkl")
    if size > LARGEST:
        raise PickleError(f"has {size:,} bytes, more than {LARGEST:,}")
    return reader.get_record("data.pkl")


def _check_legacy(source: FileSource) -> None:
    try:
        scan_legacy(source)
    except PickleError as error:
        raise refusal(source.path, error) from None


def _load(source: FileSource | PartSource, zipped: bool) -> object:
    """What the pickle says; the tensors of a zip file have no memory, only a place."""
    lazy, location = nullcontext(), "meta" if zipped else "cpu"
    if zipped and not SKIPS_STORAGES:
        from torch._subclasses.fake_tensor import FakeTensorMode

        lazy, location = FakeTensorMode(), "cpu"
    try:
        with source.open() as file, lazy, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of protocols and deprecations that are torch's own
            return cast(Any, torch).load(file, map_location=location, weights_only=True)
    except Exception as error:  # a hostile file makes torch raise anything
        raise refusal(source.path, error) from None


def _why_not(name: str, tensor: Tensor) -> str | None:
    if why := why_not_dense(name, tensor):
        return why
    if torch.Tensor.is_conj(tensor) or torch.Tensor.is_neg(tensor):
        return (
            "is a conjugate or negative view: call resolve_conj() or resolve_neg(), save it again"
        )
    if tensor.dtype not in (*DTYPES.values(), torch.complex32, torch.complex128):
        return f"is {tensor.dtype}; stockpot can merge {', '.join(map(str, DTYPES.values()))}"
    return None


def _entries(
    state: Mapping[str, Tensor], source: FileSource | PartSource, records: Mapping[int, int]
) -> dict[str, TensorEntry]:
    entries: dict[str, TensorEntry] = {}
    first: dict[tuple[object, ...], str] = {}
    for name, tensor in state.items():
        shape, strides, dtype = tuple(tensor.shape), tensor.stride(), tensor.dtype
        if not tensor.numel():
            entries[name] = TensorEntry(name, dtype, shape, source, 0)
            continue
        storage = tensor.untyped_storage()
        begin: int = getattr(storage, "_checkpoint_offset", None) or -1  # none: saved without data
        start = begin + int(tensor.storage_offset()) * dtype.itemsize
        steps = sum((n - 1) * step for n, step in zip(shape, strides, strict=True))
        limit = begin + min(records.get(begin, 0), storage.nbytes())
        if start + (1 + steps) * dtype.itemsize > limit:
            raise CheckpointError(
                f"{shown(name)} in {source.path} is {dtype} {shown(shape)}, and the file does not "
                "hold its bytes where it should: load it and save it again with torch.save."
            )
        same = first.setdefault((start, dtype, shape, strides), name)
        if same != name:
            entries[name] = replace(entries[same], name=name, alias_of=same)
        elif tensor.is_contiguous():
            entries[name] = TensorEntry(name, dtype, shape, source, start)
        else:
            strided = StridedSource(source, start, dtype.itemsize, shape, strides)
            entries[name] = TensorEntry(name, dtype, shape, strided, 0)
    return entries
