"""Directories of torch.distributed.checkpoint: `.metadata`, and `.distcp` files of all ranks.

The metadata is a pickle. Of what it may name there is a short list, and each name stands for a
value of this file's own that does nothing: no class or function of torch or of anybody is reached.
"""

import io
import math
import pickle
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any, cast

import torch
from torch import Tensor

from ...errors import CheckpointError
from ..entry import Checkpoint, TensorEntry
from ..pickles import rules
from ..pickles.budget import LARGEST, Budget, NamedError, PickleError
from ..pickles.dialect import Dialect, Rule
from ..pickles.scan import scan
from ..source import FileSource, PartSource
from .boxes import Box, BoxedSource, are_a_cover
from .directory import is_inside
from .in_memory import MAX_RANK
from .nested import find_state_dict
from .safetensors import DTYPES, MAX_NUMEL
from .torch_files import read_one
from .untrusted import listed, shown

METADATA = ".metadata"
SUFFIX = ".distcp"
_MODULE = "torch.distributed.checkpoint"


class _Record:
    """An object of the pickle with what it was given, and no behaviour."""

    def __init__(self, *_: object) -> None:
        self.state: object = None

    def __setstate__(self, state: object) -> None:
        self.state = state

    def __getitem__(self, name: str) -> Any:
        fields = cast(dict[str, object], self.state) if isinstance(self.state, dict) else {}
        return fields.get(name)


class _Tensor(_Record):
    """A tensor's size, dtype and chunks."""


class _Bytes(_Record):
    """Something that is no tensor."""


def _sizes(values: object = ()) -> tuple[object, ...]:
    return tuple(cast(list[object], values)) if isinstance(values, list | tuple) else ()


def _nothing(*_: object) -> None:
    return None


def _path(*parts: object) -> str:
    return "/".join(map(str, parts))


_ALLOWED: Mapping[tuple[str, str], tuple[Any, Rule]] = {
    (f"{_MODULE}.metadata", "Metadata"): (_Record, rules.record),
    (f"{_MODULE}.metadata", "TensorStorageMetadata"): (_Tensor, rules.record),
    (f"{_MODULE}.metadata", "BytesStorageMetadata"): (_Bytes, rules.record),
    (f"{_MODULE}.metadata", "TensorProperties"): (_Record, rules.record),
    (f"{_MODULE}.metadata", "ChunkStorageMetadata"): (_Record, rules.record),
    (f"{_MODULE}.metadata", "MetadataIndex"): (_Record, rules.record),
    (f"{_MODULE}.metadata", "StorageMeta"): (_Record, rules.record),
    (f"{_MODULE}.metadata", "_MEM_FORMAT_ENCODING"): (_nothing, rules.nothing),
    (f"{_MODULE}.filesystem", "_StorageInfo"): (_Record, rules.record),
    (f"{_MODULE}.filesystem", "_StoragePrefix"): (_Record, rules.record),
    ("torch", "Size"): (_sizes, rules.sizes),
    ("torch.serialization", "_get_layout"): (_nothing, rules.nothing),
    ("pathlib", "PosixPath"): (_path, rules.path),
    ("pathlib", "WindowsPath"): (_path, rules.path),
    ("pathlib", "Path"): (_path, rules.path),
    ("pathlib._local", "PosixPath"): (_path, rules.path),
    ("pathlib._local", "WindowsPath"): (_path, rules.path),
    ("collections", "OrderedDict"): (dict, rules.ordered),
}
"""What the pickle may name: what stands for it, and what that gives when a scan comes to it."""


def _admitted(module_name: str, global_name: str) -> tuple[Any, Rule] | None:
    if module_name == "torch":
        dtype = vars(torch).get(global_name)
        if isinstance(dtype, torch.dtype):
            return dtype, rules.no_function
    return _ALLOWED.get((module_name, global_name))


def _rule(name: str) -> Rule | None:
    module_name, _, global_name = name.rpartition(".")
    admitted = _admitted(module_name, global_name)
    return None if admitted is None else admitted[1]


class _Unpickler(pickle.Unpickler):
    def find_class(self, module_name: str, global_name: str, /) -> Any:
        admitted = _admitted(module_name, global_name)
        if admitted is None:
            raise pickle.UnpicklingError(f"names {module_name}.{global_name}")
        return admitted[0]


def is_distributed(directory: Path) -> bool:
    """Whether a directory is one of torch.distributed.checkpoint, or what is left of one."""
    return (directory / METADATA).is_file() or any(directory.glob(f"*{SUFFIX}"))


def read_distributed(directory: Path, key: str | None) -> Checkpoint:
    """Every tensor of the state dict, wherever its shards lie; nothing of the optimizer is read.

    Args:
        directory: that torch.distributed.checkpoint.save wrote, from any number of ranks.
        key: which of several state dicts; see `find_state_dict`.

    Raises:
        CheckpointError: naming the file, the tensor, what was expected and what was found.
    """
    metadata = _metadata(directory / METADATA)
    tensors = cast(dict[object, object], metadata["state_dict_metadata"])
    records = {str(name): one for name, one in tensors.items() if isinstance(one, _Tensor)}
    metas = {name: _meta(name, one, directory) for name, one in records.items()}
    state, notes = find_state_dict(_nested(metas, metadata["planner_data"]), key, str(directory))
    wholes = {id(meta): name for name, meta in metas.items()}
    places = _places(metadata, directory)
    files: dict[str, FileSource] = {}
    entries: dict[str, TensorEntry] = {}
    for name, meta in state.items():
        full = wholes[id(meta)]
        boxes = [
            _box(full, meta, chunk, places, directory, files)
            for chunk in _sizes(records[full]["chunks"])
        ]
        entries[name] = _entry(name, full, meta, boxes, directory)
    return Checkpoint(str(directory), entries, tuple(files.values()), directory, notes=notes)


def _metadata(path: Path) -> _Record:
    if not path.is_file():
        raise CheckpointError(
            f"{path.parent} holds {SUFFIX} files without {METADATA}: the checkpoint was never "
            "finished, or not all of it was copied."
        )
    source = FileSource(path)
    if source.size > LARGEST:
        raise CheckpointError(f"{path} has {source.size:,} bytes, too many for metadata.")
    raw = source.read(0, source.size)
    try:
        scan(raw, Dialect(_rule), Budget(source.size))
        found = _Unpickler(io.BytesIO(raw)).load()
    except NamedError as error:
        raise CheckpointError(
            f"{path} is more than metadata: its pickle names {listed(error.names)}, which is "
            "refused, as loading it could run any code."
        ) from None
    except Exception as error:  # a hostile pickle makes the machine raise anything
        why = f"its pickle {error}" if isinstance(error, PickleError) else type(error).__name__
        raise CheckpointError(
            f"{path} cannot be read as metadata of torch.distributed.checkpoint ({why}): copy or "
            "save the checkpoint again."
        ) from None
    kinds = (found["state_dict_metadata"], found["storage_data"]) if _is(found) else (None, None)
    if not all(isinstance(one, dict) for one in kinds):
        raise CheckpointError(f"{path} is not metadata of torch.distributed.checkpoint.")
    return cast(_Record, found)


def _is(found: object) -> bool:
    return isinstance(found, _Record)


def _meta(name: str, record: _Tensor, directory: Path) -> Tensor:
    """A tensor without memory, of the shape and dtype that the metadata claims."""
    shape, properties = record["size"], record["properties"]
    dtype = properties.state[0] if _is(properties) and _sizes(properties.state) else None
    if not _whole(shape) or len(shape) > MAX_RANK or math.prod(n or 1 for n in shape) > MAX_NUMEL:
        raise CheckpointError(f"{shown(name)} in {directory} has an impossible shape.")
    if dtype not in DTYPES.values():
        raise CheckpointError(
            f"{shown(name)} in {directory} is {shown(dtype)}; stockpot can merge "
            f"{', '.join(map(str, DTYPES.values()))}."
        )
    return torch.empty(shape, dtype=dtype, device="meta")


def _whole(numbers: object) -> bool:
    """Whether it is a tuple of whole numbers that torch can hold."""
    return isinstance(numbers, tuple) and all(
        type(n) is int and 0 <= n <= MAX_NUMEL for n in cast(tuple[object, ...], numbers)
    )


def _nested(metas: Mapping[str, Tensor], paths: object) -> dict[object, object]:
    """The dictionaries that were flattened, by the paths that the planner noted."""
    content: dict[object, object] = {}
    noted = cast(dict[object, object], paths) if isinstance(paths, dict) else {}
    for name, meta in metas.items():
        path = _steps(noted.get(name)) or (name,)
        inside = content
        for step in path[:-1]:
            deeper = inside.setdefault(step, dict[object, object]())
            inside = cast(dict[object, object], deeper) if isinstance(deeper, dict) else {}
        inside[path[-1]] = meta
    return content


def _steps(path: object) -> tuple[object, ...]:
    """Keys and positions of a nested value; nothing else is looked up."""
    steps = _sizes(path)
    return steps if all(isinstance(step, str | int) for step in steps) else ()


def _places(metadata: _Record, directory: Path) -> dict[tuple[str, tuple[int, ...]], _Record]:
    """(tensor, first index of the chunk) -> where it is stored."""
    found: dict[tuple[str, tuple[int, ...]], _Record] = {}
    for index, info in cast(dict[object, object], metadata["storage_data"]).items():
        if not isinstance(index, _Record) or not isinstance(info, _Record):
            raise CheckpointError(f"{directory / METADATA} lists something that is no chunk.")
        if isinstance(index["fqn"], str) and _whole(index["offset"]):
            found[index["fqn"], index["offset"]] = info
    return found


def _box(
    full: str,
    meta: Tensor,
    chunk: object,
    places: Mapping[tuple[str, tuple[int, ...]], _Record],
    directory: Path,
    files: dict[str, FileSource],
) -> Box:
    """One chunk of a tensor, found in its file."""
    fields = chunk if isinstance(chunk, _Record) else _Record()
    starts, sizes = fields["offsets"], fields["sizes"]
    if not (_whole(starts) and _whole(sizes) and len(starts) == len(sizes) == meta.ndim):
        raise CheckpointError(f"{shown(full)} in {directory} has a chunk of no shape.")
    if (full, starts) not in places:
        raise CheckpointError(
            f"{shown(full)} in {directory} has a chunk at {starts} that lies in no file: the "
            "checkpoint was never finished."
        )
    stored = _stored(full, places[full, starts], directory, files)
    if (stored.shape, stored.dtype) != (sizes, meta.dtype):
        raise CheckpointError(
            f"{shown(full)} in {directory} is stored as {stored.dtype} {stored.shape} at {starts}; "
            f"its metadata has {meta.dtype} {sizes}."
        )
    return Box(starts, sizes, stored.source, stored.offset)


def _entry(name: str, full: str, meta: Tensor, boxes: list[Box], directory: Path) -> TensorEntry:
    shape = tuple(meta.shape)
    if not are_a_cover(shape, boxes):
        raise CheckpointError(
            f"the chunks of {shown(full)} in {directory} do not cover it, each element once: "
            f"{listed(f'{one.starts} + {one.sizes}' for one in boxes)} of {shape}."
        )
    if len(boxes) == 1:
        return TensorEntry(name, meta.dtype, shape, boxes[0].source, boxes[0].offset)
    return TensorEntry(name, meta.dtype, shape, BoxedSource(boxes, meta.dtype.itemsize, shape), 0)


def _stored(full: str, info: _Record, directory: Path, files: dict[str, FileSource]) -> TensorEntry:
    """One chunk: a file of torch.save by itself, within a file of many."""
    file, begin, length = info["relative_path"], info["offset"], info["length"]
    if not isinstance(file, str) or not is_inside(file):
        raise CheckpointError(
            f"the metadata of {directory} says that {shown(full)} lies in {shown(file)}; expected "
            "the name of a file in the same directory. Do not trust this checkpoint."
        )
    if info["transform_descriptors"]:
        raise CheckpointError(
            f"{shown(full)} in {directory} is stored transformed "
            f"({shown(info['transform_descriptors'])}), such as compressed: save it without."
        )
    if file not in files:
        files[file] = FileSource(directory / PurePosixPath(file))
    source = files[file]
    if not _whole((begin, length)) or begin + length > source.size:
        raise CheckpointError(
            f"{source.path} is truncated: {shown(full)} should lie at {shown(begin)}, in "
            f"{shown(length)} bytes; the file has {source.size:,}. Copy or save it again."
        )
    return read_one(PartSource(source, begin, length), full)
