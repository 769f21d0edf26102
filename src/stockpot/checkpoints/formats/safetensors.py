"""One .safetensors file. Its header is data from a stranger: believed only where it adds up.

The file is a u64 length, that many bytes of JSON, then the tensors' bytes without hole or overlap.
Nothing of a size that the header claims is allocated before the claim is held against the file.
"""

import math
import struct
import sys
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import TypeGuard, cast

import torch
from blake3 import blake3

from ...errors import CheckpointError
from ..entry import Checkpoint, TensorEntry
from ..source import FileSource
from .layout import DTYPE_NAMES, MAX_HEADER, MAX_RANK
from .untrusted import json_members, parse_json, shown

DTYPES: Mapping[str, torch.dtype] = {name: dtype for dtype, name in DTYPE_NAMES.items()}
"""The format's dtypes, by the name they have in a header."""

_METADATA = "__metadata__"
PACKED = ("F4", "F6_E2M3", "F6_E3M2", "F8_E8M0")
MAX_NUMEL = 2**63 - 1


def read_safetensors(source: FileSource) -> Checkpoint:
    """Every tensor of one file, in the order of their bytes.

    Raises:
        CheckpointError: naming the file, the tensor, what was expected and what was found.
    """
    path, raw = source.path, _read_header(source)
    try:
        entries, metadata = _entries(raw, source)
    except CheckpointError:
        parse_json(raw, f"the header of {path}")  # what is no JSON at all is told first
        raise
    entries, end = _in_order(entries, 8 + len(raw), path)
    _check_length(path, source.identity.size, end)
    digest = blake3(raw).hexdigest()
    return Checkpoint(str(path), entries, (source,), None, metadata, {path.name: digest})


def _entries(raw: bytes, source: FileSource) -> tuple[dict[str, TensorEntry], Mapping[str, str]]:
    """The tensors of a header, in its order, and its metadata."""
    path, start = source.path, 8 + len(raw)
    owner = str(path)
    metadata: Mapping[str, str] | None = None
    entries: dict[str, TensorEntry] = {}
    shapes: dict[tuple[int, ...], tuple[int, ...]] = {}
    for name, info in json_members(raw, f"the header of {path}"):
        if name in entries or (name == _METADATA and metadata is not None):
            raise CheckpointError(f"{shown(name)} occurs twice in the header of {path}.")
        if name == _METADATA:
            metadata = _metadata(info, path)
            continue
        begin, dtype, shape = _span(name, info, path)
        name, shape = sys.intern(name), shapes.setdefault(shape, shape)  # many models have it
        entries[name] = TensorEntry(name, dtype, shape, source, start + begin, None, owner)
    return entries, metadata or {}


def _in_order(
    entries: dict[str, TensorEntry], start: int, path: Path
) -> tuple[dict[str, TensorEntry], int]:
    """Entries by their bytes, which follow one another from `start` on; and where they end."""
    if any(one.offset >= other.offset for one, other in pairwise(entries.values())):
        by_place = sorted(entries.values(), key=lambda one: (one.offset, one.nbytes, one.name))
        entries = {entry.name: entry for entry in by_place}
    end = start
    for name, entry in entries.items():
        begin = entry.offset
        if begin != end:
            what = "overlaps the tensor before it" if begin < end else "leaves a hole before it"
            raise CheckpointError(
                f"{shown(name)} in {path} {what}: its bytes begin at {begin - start}, expected "
                f"{end - start}. The file is damaged or was not written by a safetensors library."
            )
        end = begin + entry.nbytes
    return entries, end


def _read_header(source: FileSource) -> bytes:
    path, size = source.path, source.identity.size
    if size < 8:
        raise CheckpointError(
            f"{path} has {size} bytes, too few for a safetensors file: download or save it again."
        )
    (length,) = struct.unpack("<Q", source.read(0, 8))
    if length > MAX_HEADER:
        raise CheckpointError(
            f"{path} is not a safetensors file, or is damaged: its first 8 bytes claim a header "
            f"of {length:,} bytes, the format allows {MAX_HEADER:,}. Download or save it again."
        )
    if 8 + length > size:
        raise CheckpointError(
            f"{path} is truncated: its header should end at byte {8 + length:,}, the file has "
            f"{size:,}. Download or save it again."
        )
    raw = source.read(8, length)
    if not raw.startswith(b"{"):
        raise CheckpointError(
            f"{path} is not a safetensors file: its header begins with {shown(raw[:12])}, "
            "expected '{'."
        )
    return raw


def _metadata(value: object, path: Path) -> Mapping[str, str]:
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise CheckpointError(f"__metadata__ in {path} must be an object; got {shown(value)}.")
    for key, text in cast(dict[str, object], value).items():
        if not isinstance(text, str):
            raise CheckpointError(
                f"__metadata__ in {path} must hold strings; {shown(key)} is {shown(text)}."
            )
    return cast(dict[str, str], value)


def _span(name: str, info: object, path: Path) -> tuple[int, torch.dtype, tuple[int, ...]]:
    """Where the bytes of one tensor begin, its dtype and its shape, which agree with its end."""
    fields = cast(dict[str, object], info) if isinstance(info, dict) else {}
    word, dims, offsets = fields.get("dtype"), fields.get("shape"), fields.get("data_offsets")
    if not (
        len(fields) == 3
        and isinstance(word, str)
        and _naturals(dims)
        and _naturals(offsets)
        and len(offsets) == 2
    ):
        raise CheckpointError(
            f"{shown(name)} in {path} must have exactly a dtype, a shape and two data_offsets, in "
            f"whole numbers in [0, 2^63); got {shown(cast(object, info))}. The header is damaged."
        )
    if word not in DTYPES:
        raise CheckpointError(f"{shown(name)} in {path} {_why_not(word)}")
    dtype, shape, (begin, end) = DTYPES[word], tuple(dims), offsets
    if len(shape) > MAX_RANK or math.prod(n or 1 for n in shape) > MAX_NUMEL:
        raise CheckpointError(f"{shown(name)} in {path} has an impossible shape: {shown(dims)}.")
    nbytes = math.prod(shape) * dtype.itemsize
    if end - begin != nbytes:
        raise CheckpointError(
            f"{shown(name)} in {path} is {word} {shown(shape)}, which takes {nbytes} bytes; its "
            f"data_offsets [{begin}, {end}] hold {end - begin}. The header is damaged."
        )
    return begin, dtype, shape


def _naturals(value: object) -> TypeGuard[list[int]]:
    """Whether it is a list of whole numbers that torch can hold; true and false are none."""
    if not isinstance(value, list):
        return False
    for n in cast(list[object], value):  # a loop: a header has three such lists for each tensor
        if type(n) is not int or not 0 <= n <= MAX_NUMEL:
            return False
    return True


def _why_not(word: str) -> str:
    if word in PACKED:
        return f"is quantised ({word}): its numbers are not weights. Dequantise it first."
    return f"has the dtype {shown(word)}; stockpot can merge {', '.join(DTYPES)}."


def _check_length(path: Path, size: int, expected: int) -> None:
    if size < expected:
        raise CheckpointError(
            f"{path} is truncated: its header describes {expected:,} bytes, the file has {size:,}. "
            "Download or save it again."
        )
    if size > expected:
        raise CheckpointError(
            f"{path} has {size - expected:,} bytes after its last tensor, which ends at byte "
            f"{expected:,}: the file is damaged or was written twice. Download or save it again."
        )
