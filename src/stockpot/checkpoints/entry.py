"""A checkpoint as the engine sees it: named tensors, each at an offset of a source of bytes.

Every reader (safetensors, torch files, directories, state dicts) ends here, so that the engine
knows one thing only: which bytes to read. Nothing of a tensor is read before the engine asks.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from .formats.in_memory import take_state
from .source import FileSource, MemorySource, Source

if TYPE_CHECKING:
    pass


@dataclass(frozen=True, slots=True)
class TensorEntry:
    """One tensor: what it is, and where its contiguous little-endian bytes lie.

    `alias_of` names the first tensor of the same checkpoint that shares exactly these bytes
    (tied weights of a torch file or a state dict). `owner` is the label of the checkpoint that it
    belongs to, which need not call it as it is called in its file. A tensor that is seen other
    than it is stored has in `stored` the dtype that it is stored as, and in `made_of` the tensors
    that it is computed from. Where a weight is seen as the network uses it, and taken apart again
    when it is written, `stands_for` is the stored tensor of its name: what a copy copies.
    """

    name: str
    dtype: torch.dtype
    shape: tuple[int, ...]
    source: Source
    offset: int
    alias_of: str | None = None
    owner: str = ""
    stored: torch.dtype | None = None
    made_of: tuple["TensorEntry", ...] = ()
    stands_for: "TensorEntry | None" = None

    @property
    def numel(self) -> int:
        """Number of elements; 1 for a 0-d tensor."""
        return torch.Size(self.shape).numel()

    @property
    def nbytes(self) -> int:
        """Number of bytes."""
        return self.numel * self.dtype.itemsize

    @property
    def stored_dtype(self) -> torch.dtype:
        """The dtype that it is stored as."""
        return self.stored or self.dtype

    @property
    def is_complex(self) -> bool:
        """Whether these are the real and imaginary parts of a complex tensor."""
        return self.stored is not None and self.stored.is_complex

    @property
    def stored_shape(self) -> tuple[int, ...]:
        """Its shape, without the dimension of real and imaginary parts."""
        return self.shape[:-1] if self.is_complex else self.shape

    @property
    def as_stored(self) -> "TensorEntry":
        """What a copy of it copies: the stored tensor that it stands for, else itself."""
        return self.stands_for or self

    @property
    def origins(self) -> tuple["TensorEntry", ...]:
        """The stored tensors that it is computed from, each once; itself where it is stored."""
        if not self.made_of:
            return (self,)
        leaves = [leaf for part in self.made_of for leaf in part.origins]
        return tuple({(id(leaf.source), leaf.offset): leaf for leaf in leaves}.values())

    def load(self) -> Tensor:
        """The whole tensor, in memory of its own."""
        raw = bytearray(self.nbytes)
        self.source.read_into(memoryview(raw), self.offset)
        if not raw:
            return torch.empty(self.shape, dtype=self.dtype)
        return torch.frombuffer(raw, dtype=self.dtype).reshape(self.shape)


COMPARED = 2**16
"""Bytes of two tensors that are compared at a time."""


def same_bytes(one: TensorEntry, other: TensorEntry) -> bool:
    """Whether two tensors are the same to the bit; reads to the first difference."""
    if (one.shape, one.dtype) != (other.shape, other.dtype):
        return False
    own, there = bytearray(COMPARED), bytearray(COMPARED)
    for at in range(0, one.nbytes, COMPARED):
        count = min(COMPARED, one.nbytes - at)
        one.source.read_into(memoryview(own)[:count], one.offset + at)
        other.source.read_into(memoryview(there)[:count], other.offset + at)
        if own[:count] != there[:count]:
            return False
    return True


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """Named tensors in the order in which they lie in their files, and what was noticed.

    Attributes:
        label: how messages call it: the path as the user gave it.
        entries: name -> entry, each owned by this checkpoint.
        files: every weight file behind it; empty for a state dict in memory.
        directory: where its configuration and tokenizer files lie, if it is a directory.
        metadata: the strings stored in its header.
        headers: BLAKE3 of each file's header (safetensors) by file name, for the manifest.
        notes: what a user should know: stripped prefixes, the nested dict that was taken.
        parts: the checkpoints that it is made of, where a view has made it; else none.
    """

    label: str
    entries: Mapping[str, TensorEntry]
    files: tuple[FileSource, ...] = ()
    directory: Path | None = None
    metadata: Mapping[str, str] = field(default_factory=dict[str, str])
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    notes: tuple[str, ...] = ()
    parts: tuple["Checkpoint", ...] = ()

    def __post_init__(self) -> None:
        if all(entry.owner == self.label for entry in self.entries.values()):
            return
        owned = {name: _owned(entry, self.label) for name, entry in self.entries.items()}
        object.__setattr__(self, "entries", owned)

    @property
    def origins(self) -> tuple["Checkpoint", ...]:
        """What lies on disk or in memory of which it is made, in order; itself if it is one."""
        if not self.parts:
            return (self,)
        leaves = [leaf for part in self.parts for leaf in part.origins]
        return tuple({leaf.label: leaf for leaf in leaves}.values())

    @property
    def nbytes(self) -> int:
        """Bytes of all tensors, aliases counted once."""
        return sum(e.nbytes for e in self.entries.values() if e.alias_of is None)


def _owned(entry: TensorEntry, owner: str) -> TensorEntry:
    if entry.owner == owner:
        return entry
    e = entry  # four times as fast as `replace`, and there may be a hundred thousand
    return TensorEntry(
        e.name,
        e.dtype,
        e.shape,
        e.source,
        e.offset,
        e.alias_of,
        owner,
        e.stored,
        e.made_of,
        e.stands_for,
    )


def from_state_dict(state: Mapping[str, object], label: str) -> Checkpoint:
    """A checkpoint over a state dict in memory; tensors that share all their memory are aliases.

    Raises:
        CheckpointError: naming the entry that is no dense tensor; see `take_state`.
    """
    entries: dict[str, TensorEntry] = {}
    first: dict[tuple[object, ...], str] = {}
    for name, tensor in take_state(state, label).items():
        key = (tensor.device, tensor.data_ptr(), tensor.dtype, tensor.shape, tensor.stride())
        alias = first.setdefault(key, name) if tensor.numel() else name
        source = MemorySource(tensor) if alias == name else entries[alias].source
        entries[name] = TensorEntry(
            name,
            tensor.dtype,
            tuple(tensor.shape),
            source,
            0,
            None if alias == name else alias,
            label,
        )
    return Checkpoint(label, entries)
