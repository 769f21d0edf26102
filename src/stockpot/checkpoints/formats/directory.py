"""Which files of a directory are its weights, and what an index says lies in which of them.

`locate` decides from names alone; the caller reads the files; `join` holds them against the index.
An index is data from a stranger, as a header is: a file that it names is checked on the text of the
name, while links on the disk, of which the caches of hubs are made, are followed.
"""

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import cast

from ...errors import CheckpointError
from ..entry import Checkpoint, TensorEntry
from ..kinds.folders import refuse_parts, refuse_weightless
from ..source import FileSource
from .untrusted import listed, parse_json, shown

FAMILIES = ((".safetensors",), (".bin", ".pt", ".pth", ".ckpt", ".pth.tar"))
"""Weight files by their suffix; where both kinds stand, safetensors is what gets read."""

STEMS = (
    "model",
    "pytorch_model",
    "diffusion_pytorch_model",
    "open_clip_model",
    "open_clip_pytorch_model",
)
"""What libraries call the weights; the first one that stands there is taken."""

BESIDES = re.compile(
    r"(training_args|optimizer|scheduler|scaler|sampler|dl_state_dict|rng_state|adapter_model)"
    r"(_\d+)*\.\w+"
)
"""What a trainer leaves beside the weights."""
INDEX = re.compile(r"(?P<file>.+)\.index(\.\w+)?\.json")
SHARD = re.compile(r"(?P<stem>.+)-\d+-of-(?P<total>\d+)\.\w+")
MAX_INDEX = 100_000_000  # bytes


@dataclass(frozen=True, slots=True)
class Weights:
    """The weight files of a directory.

    Attributes:
        files: their names, relative to the directory, in order.
        index: tensor name -> the file it lies in; empty for a single file.
        notes: what a user should know of the choice.
    """

    files: tuple[str, ...]
    index: Mapping[str, str] = field(default_factory=dict[str, str])
    notes: tuple[str, ...] = ()


def locate(directory: Path) -> Weights:
    """Find the weights of a transformers, timm, diffusers-component or open_clip directory.

    Raises:
        CheckpointError: where there are none, or several and nothing says which are meant.
    """
    try:
        names = sorted(p.name for p in directory.iterdir() if p.is_file() or not p.exists())
    except OSError as error:
        raise CheckpointError(f"cannot list {directory}: {error.strerror}.") from None
    if "model_index.json" in names:
        raise _pipeline(directory)
    if not any(name.startswith(f"{stem}.") for name in names for stem in STEMS):
        refuse_parts(directory, names)
    for suffixes in FAMILIES:
        files = [n for n in names if n.endswith(suffixes) and not BESIDES.fullmatch(n)]
        indexes = {
            n: m.group("file")
            for n in names
            if (m := INDEX.fullmatch(n)) and m.group("file").endswith(suffixes)
        }
        stands_for = {n: n for n in files if not SHARD.fullmatch(n)} | indexes
        usual = (f"{stem}{suffix}" for stem in STEMS for suffix in suffixes)
        first = next((n for n in usual if n in stands_for.values()), None)
        chosen = [n for n, file in stands_for.items() if first in (file, None)]
        if len(chosen) > 1:
            raise CheckpointError(
                f"{directory} holds several weight files and nothing says which are meant: "
                f"{listed(chosen)}. Name one of these files as the model, or move the others away."
            )
        if chosen:
            left = [n for n in stands_for if n not in chosen]
            note = f"{directory}: read {chosen[0]}, left {listed(left)}."
            notes = (note,) if left else ()
            if chosen[0] not in indexes:
                return Weights((chosen[0],), notes=notes)
            index = _read_index(directory / chosen[0])
            shards = sorted(set(index.values()))
            _check_series(directory, chosen[0], shards, files)
            return Weights(tuple(shards), index, notes)
        if files:
            raise CheckpointError(
                f"{directory} holds shards without their index: {listed(files)}. Copy the "
                f".index.json that was saved with them to {directory}."
            )
    refuse_weightless(directory, names)
    raise _weightless(directory, names)


def join(directory: Path, weights: Weights, parts: Sequence[Checkpoint]) -> Checkpoint:
    """One checkpoint of the parts that were read of `weights.files`, in that order."""
    entries: dict[str, TensorEntry] = {}
    metadata: dict[str, str] = {}
    headers: dict[str, str] = {}
    notes = list(weights.notes)
    expected: dict[str, list[str]] = {}
    for name, file in weights.index.items():
        expected.setdefault(file, []).append(name)
    for file, part in zip(weights.files, parts, strict=True):
        if weights.index:
            _check_shard(part, expected[file], weights.index)
        entries |= part.entries
        metadata |= part.metadata
        for digest in part.headers.values():
            headers[file] = digest
        notes += part.notes
    files = tuple(source for part in parts for source in part.files)
    return Checkpoint(str(directory), entries, files, directory, metadata, headers, tuple(notes))


def _read_index(path: Path) -> Mapping[str, str]:
    source = FileSource(path)
    if source.identity.size > MAX_INDEX:
        raise CheckpointError(f"{path} has {source.identity.size:,} bytes, too many for an index.")
    content = parse_json(source.read(0, source.identity.size), f"the index {path}")
    weight_map = content.get("weight_map")
    if not isinstance(weight_map, dict) or not weight_map:
        raise CheckpointError(
            f"the index {path} must have a weight_map of tensor names to files; "
            f"got {shown(cast(object, weight_map))}."
        )
    index = cast(dict[str, object], weight_map)
    for name, file in index.items():
        if not isinstance(file, str) or not is_inside(file):
            raise CheckpointError(
                f"the index {path} says that {shown(name)} lies in {shown(file)}; expected the "
                "name of a file in the same directory. Do not trust this checkpoint."
            )
    found = cast(dict[str, str], weight_map)
    _check_files(path, sorted(set(found.values())))
    return found


def is_inside(file: str) -> bool:
    """Whether the text names a file in or below the index's directory, on any system."""
    parts = PurePosixPath(file)
    return not (
        not parts.parts or parts.is_absolute() or ".." in parts.parts or re.search(r"[\\\0:]", file)
    )


def _check_files(index: Path, files: Sequence[str]) -> None:
    missing = [file for file in files if not os.path.isfile(index.parent / file)]  # noqa: PTH113
    if missing:
        raise CheckpointError(
            f"{len(missing)} of the {len(files)} shards that {index} names are missing: "
            f"{listed(missing)}. The download or copy is incomplete: fetch them."
        )


def _check_series(directory: Path, index: str, named: Sequence[str], files: Sequence[str]) -> None:
    """Refuse where the index leaves out a shard of the series that it names."""
    series = {match.groups() for file in named if (match := SHARD.fullmatch(file))}
    there = {file: match.groups() for file in files if (match := SHARD.fullmatch(file))}
    if left := [file for file in there if there[file] in series and file not in named]:
        raise CheckpointError(
            f"{directory} holds {listed(left)}, which {index} does not name: the index is stale. "
            "Copy or download index and shards together."
        )


def _check_shard(part: Checkpoint, expected: Sequence[str], index: Mapping[str, str]) -> None:
    if missing := [name for name in expected if name not in part.entries]:
        raise CheckpointError(
            f"the index says that {listed(missing)} lies in {part.label}, which does not have it: "
            "index and shards are not of one checkpoint. Copy or download them together."
        )
    if extra := list(part.entries.keys() - expected):
        extra.sort()
        elsewhere = index.get(extra[0])
        where = f"lies in {shown(elsewhere)}" if elsewhere else "is in no file"
        raise CheckpointError(
            f"{part.label} holds {listed(extra)}; by the index {shown(extra[0])} {where}: the "
            "index is stale, or a tensor is stored twice. Copy or download them together."
        )


def _pipeline(directory: Path) -> CheckpointError:
    suffixes = tuple(suffix for family in FAMILIES for suffix in family)
    inside = directory.glob("*/*")
    components = sorted({file.parent.name for file in inside if file.name.endswith(suffixes)})
    return CheckpointError(
        f"{directory} is a diffusers pipeline of several networks: {listed(components)}. Merge "
        f"one at a time: name its directory, such as {directory / (components or ['unet'])[0]}."
    )


def _weightless(directory: Path, names: Sequence[str]) -> CheckpointError:
    there = f"it holds {listed(names)}" if names else "it holds no files"
    return CheckpointError(
        f"{directory} has no weights in it: {there}. Expected model.safetensors, shards and their "
        "index, pytorch_model.bin, or one weight file of another name."
    )
