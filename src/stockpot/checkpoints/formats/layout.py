"""Where every tensor of the output will lie, decided before the first byte is written.

One shard is one safetensors file: 8 bytes of header length, the JSON header padded with spaces to
a multiple of 8, then the tensors without gaps, ordered by dtype (widest first) and name as
safetensors' own writer orders them, so that a file of ours is the file that it would have written.
"""

import io
import json
import math
import re
from array import array
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch

from ...errors import OutputError
from .untrusted import shown

DTYPE_NAMES: Mapping[torch.dtype, str] = {
    torch.uint64: "U64",
    torch.int64: "I64",
    torch.float64: "F64",
    torch.complex64: "C64",
    torch.float32: "F32",
    torch.uint32: "U32",
    torch.int32: "I32",
    torch.bfloat16: "BF16",
    torch.float16: "F16",
    torch.uint16: "U16",
    torch.int16: "I16",
    torch.float8_e5m2fnuz: "F8_E5M2FNUZ",
    torch.float8_e4m3fnuz: "F8_E4M3FNUZ",
    torch.float8_e4m3fn: "F8_E4M3",
    torch.float8_e5m2: "F8_E5M2",
    torch.int8: "I8",
    torch.uint8: "U8",
    torch.bool: "BOOL",
}
"""The dtypes that the safetensors format knows, by torch's names, in the order of their tensors."""
MAX_HEADER = 100_000_000
"""Bytes; the limit that the format's own library sets."""
MAX_RANK = 64
_OWN = "__metadata__"
_RANK = {dtype: rank for rank, dtype in enumerate(DTYPE_NAMES)}


@dataclass(frozen=True, slots=True)
class OutputTensor:
    """A tensor to be written."""

    name: str
    dtype: torch.dtype
    shape: tuple[int, ...]

    @property
    def nbytes(self) -> int:
        """Number of bytes."""
        return math.prod(self.shape) * self.dtype.itemsize


class Spans(Mapping[str, tuple[int, int]]):
    """Where tensors that follow one another lie in a file, as (start, stop), in little memory.

    Args:
        names: of the tensors, in their order: runs of one dtype each, by name within a run.
        ends: where the first begins and where each ends, from the end of the header on.
        begin: the bytes of the header.
        runs: where in `names` each run begins.
    """

    def __init__(
        self, names: Sequence[str], ends: "array[int]", begin: int, runs: Sequence[int]
    ) -> None:
        self._names, self._ends, self._begin = names, ends, begin
        self._runs = list(pairwise([*runs, len(names)]))

    def __getitem__(self, name: str) -> tuple[int, int]:
        for start, stop in self._runs:
            at = bisect_left(self._names, name, start, stop)
            if at < stop and self._names[at] == name:
                return self._begin + self._ends[at], self._begin + self._ends[at + 1]
        raise KeyError(name)

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


@dataclass(frozen=True, slots=True)
class Shard:
    """One file of the output: its bytes before the tensors, and each tensor's (start, stop)."""

    filename: str
    header: bytes
    spans: Mapping[str, tuple[int, int]]
    size: int


def single_file(
    tensors: Iterable[OutputTensor], filename: str, metadata: Mapping[str, str]
) -> tuple[Shard, ...]:
    """All tensors in one file."""
    return (_shard(filename, list(tensors), metadata),)


@dataclass(frozen=True, slots=True)
class Stem:
    """What the weight files of a directory are called, as the library that loads it looks for them.

    Attributes:
        name: such as "model", of transformers, or "diffusion_pytorch_model", of diffusers.
        variant: such as "fp16"; empty for none.
    """

    name: str = "model"
    variant: str = ""

    @property
    def whole(self) -> str:
        """Of a file, without its suffix: the variant stands before a shard's number."""
        return f"{self.name}.{self.variant}" if self.variant else self.name

    @property
    def index(self) -> str:
        """Of the index of shards, where the variant stands before the last suffix."""
        variant = f".{self.variant}" if self.variant else ""
        return f"{self.name}.safetensors.index{variant}.json"


_STEMMED = re.compile(
    r"(?P<name>model|pytorch_model|diffusion_pytorch_model|open_clip_model|open_clip_pytorch_model)"
    r"(\.(?P<variant>[A-Za-z]\w*))?(-\d+-of-\d+)?(\.(?P<after>[A-Za-z]\w*))?\.(safetensors|bin)"
)
_WRITTEN = {"pytorch_model": "model", "open_clip_pytorch_model": "open_clip_model"}


def stem_of(filename: str) -> Stem | None:
    """The stem of a weight file; None where no library looks for files that are called so.

    Example:
        >>> stem_of("diffusion_pytorch_model.fp16-00001-of-00002.safetensors").whole
        'diffusion_pytorch_model.fp16'
        >>> stem_of("pytorch_model-00001-of-00003.bin").whole
        'model'
    """
    match = _STEMMED.fullmatch(filename)
    if match is None:
        return None
    name = match["name"]
    return Stem(_WRITTEN.get(name, name), match["variant"] or match["after"] or "")


def hub_shards(
    tensors: Iterable[OutputTensor],
    shard_size: int,
    metadata: Mapping[str, str],
    stem: Stem | None = None,
) -> tuple[Shard, ...]:
    """Files of at most `shard_size` bytes of tensors, named as the hubs name them.

    Tensors keep their order, so that a layer's tensors stay together; a tensor larger than
    `shard_size` has a shard of its own.
    """
    whole = (stem or Stem()).whole
    groups: list[list[OutputTensor]] = [[]]
    filled = 0
    for tensor in tensors:
        if groups[-1] and filled + tensor.nbytes > shard_size:
            groups.append([])
            filled = 0
        groups[-1].append(tensor)
        filled += tensor.nbytes
    if len(groups) == 1:
        return (_shard(f"{whole}.safetensors", groups[0], metadata),)
    count = len(groups)
    return tuple(
        _shard(f"{whole}-{i:05d}-of-{count:05d}.safetensors", group, metadata)
        for i, group in enumerate(groups, start=1)
    )


def index_json(shards: Sequence[Shard]) -> str | None:
    """The hub's index of a sharded output; None where there is one file."""
    if len(shards) == 1:
        return None
    where = {name: shard.filename for shard in shards for name in shard.spans}
    total = sum(shard.size - len(shard.header) for shard in shards)
    index = {"metadata": {"total_size": total}, "weight_map": dict(sorted(where.items()))}
    return json.dumps(index, indent=2) + "\n"


def _refuse_unreadable(tensor: OutputTensor) -> None:
    """Refuse what the format cannot say, or what no library would read."""
    name = shown(tensor.name)
    if tensor.name == _OWN:
        raise OutputError(
            f"a tensor is called {name}, the one name that the safetensors format keeps for "
            "itself: rename or leave out that tensor in the models."
        )
    if len(tensor.shape) > MAX_RANK:
        raise OutputError(
            f"{name} has {len(tensor.shape)} dimensions; torch reads at most {MAX_RANK}: reshape "
            "or leave out that tensor in the models."
        )
    if tensor.dtype not in _RANK:
        what = str(tensor.dtype).removeprefix("torch.")
        raise OutputError(f"{name} is {what}, a dtype that the safetensors format does not have.")
    try:
        tensor.name.encode()
    except UnicodeEncodeError:
        raise OutputError(f"{name} is no text in UTF-8: rename that tensor.") from None


def _shard(filename: str, tensors: list[OutputTensor], metadata: Mapping[str, str]) -> Shard:
    for tensor in tensors:
        _refuse_unreadable(tensor)
    tensors.sort(key=lambda t: (_RANK[t.dtype], t.name))
    text, offset, ends = io.BytesIO(), 0, array("q", [0])
    text.write(b"{")
    if metadata:
        text.write(f"{_dumped(_OWN)}:{_dumped(dict(metadata))}".encode())
    for tensor in tensors:
        stop = offset + tensor.nbytes
        comma = "," if text.tell() > 1 else ""
        shape = ",".join(map(str, tensor.shape))
        text.write(
            f'{comma}{_dumped(tensor.name)}:{{"dtype":"{DTYPE_NAMES[tensor.dtype]}",'
            f'"shape":[{shape}],"data_offsets":[{offset},{stop}]}}'.encode()
        )
        ends.append(stop)
        offset = stop
    text.write(b"}")
    text.write(b" " * (-text.tell() % 8))
    if text.tell() > MAX_HEADER:
        raise OutputError(
            f"the header of {filename} would have {text.tell():,} bytes, and libraries read at "
            f"most {MAX_HEADER:,}: take a smaller --shard-size."
        )
    header = text.tell().to_bytes(8, "little") + text.getvalue()
    ranks = [_RANK[tensor.dtype] for tensor in tensors]
    runs = [i for i, rank in enumerate(ranks) if not i or rank != ranks[i - 1]]
    spans = Spans([tensor.name for tensor in tensors], ends, len(header), runs)
    return Shard(filename, header, spans, len(header) + offset)


_dumped = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False).encode
