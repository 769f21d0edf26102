"""Is an output what its manifest says: sizes, headers, digests, finiteness; or made once more."""

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import blake3
import torch

from ..checkpoints.entry import Checkpoint, TensorEntry
from ..checkpoints.manifest import read_manifest
from ..checkpoints.read import read_checkpoint
from ..checkpoints.roles import Role
from ..errors import CheckpointError, OutputError, StockpotError
from ..recipes.model import parse_recipe
from ..views.computed import real_parts
from .local import Progress, Run
from .options import Options
from .prepare import prepare
from .rows import is_finite
from .sinks import CompareSink

_CHUNK = 2**22


@dataclass(frozen=True, slots=True)
class Verified:
    """What was found wrong, in sentences; nothing if the output is what its manifest says."""

    path: Path
    tensors: int
    bytes: int
    problems: tuple[str, ...]


def verify(
    path: str | Path, *, recompute: bool = False, progress: Progress | None = None
) -> Verified:
    """Check an output against its manifest; with `recompute` repeat the merge and compare.

    Every file's size and header, every tensor's BLAKE3 and finiteness. A recompute reads the
    inputs at the paths of the recipe, relative ones from the current directory, and compares
    byte by byte.

    Raises:
        OutputError: there is no output of stockpot at `path`.
    """
    out = Path(path)
    manifest = read_manifest(out)
    folder = out.parent if out.suffix == ".safetensors" else out
    problems = [p for file in manifest["output"]["files"] for p in _file_problems(folder, file)]
    tensors: dict[str, dict[str, object]] = manifest["tensors"]
    if problems:
        return Verified(out, len(tensors), 0, tuple(problems))
    try:
        written = read_checkpoint(out)
    except CheckpointError as error:
        return Verified(out, len(tensors), 0, (str(error),))
    entries = written.entries
    problems += [f"'{n}' is missing." for n in tensors if n not in entries]
    problems += [f"'{n}' is there but not in the manifest." for n in entries if n not in tensors]
    wanted = [(entries[n], t) for n, t in tensors.items() if n in entries]
    problems += _tensor_problems(wanted, progress)
    if recompute:
        problems += _recomputed(manifest, out, written, progress)
    return Verified(out, len(tensors), written.nbytes, tuple(problems))


def _file_problems(folder: Path, file: dict[str, object]) -> list[str]:
    path = folder / str(file["name"])
    if not path.is_file():
        return [f"{path.name} is missing."]
    size = path.stat().st_size
    if size != file["bytes"]:
        return [f"{path.name} has {size:,} bytes; the manifest says {file['bytes']:,}."]
    with path.open("rb") as handle:
        prefix = handle.read(8)
        length = int.from_bytes(prefix, "little")
        header = prefix + handle.read(min(length, size))
    if blake3.blake3(header).hexdigest() != file["header"]:
        return [f"the header of {path.name} is not the one that was written."]
    return []


def _tensor_problems(
    wanted: Sequence[tuple[TensorEntry, dict[str, object]]], progress: Progress | None
) -> list[str]:
    total = sum(entry.nbytes for entry, _ in wanted)
    moved = 0

    def problem(item: tuple[TensorEntry, dict[str, object]]) -> str | None:
        nonlocal moved
        found = _tensor_problem(*item)
        moved += item[0].nbytes
        if progress is not None:
            progress(moved, total)
        return found

    with ThreadPoolExecutor(min(len(os.sched_getaffinity(0)), 8)) as pool:
        return [found for found in pool.map(problem, wanted) if found]


def _tensor_problem(entry: TensorEntry, told: dict[str, object]) -> str | None:
    entry = real_parts(entry) if entry.dtype.is_complex else entry
    hasher, finite, digest = blake3.blake3(), True, told["digest"]
    check = entry.dtype.is_floating_point and told["role"] != Role.COUNTER  # masks may be infinite
    buffer = bytearray(min(entry.nbytes, _CHUNK))
    for at in range(0, entry.nbytes, _CHUNK):
        part = memoryview(buffer)[: min(_CHUNK, entry.nbytes - at)]
        entry.source.read_into(part, entry.offset + at)
        hasher.update(part)
        if check:
            finite = finite and is_finite(torch.frombuffer(part, dtype=entry.dtype))
    if digest is not None and hasher.hexdigest() != digest:
        return f"'{entry.name}' is not what was written: its digest differs."
    return None if finite else f"'{entry.name}' holds NaN or infinity."


def _recomputed(
    manifest: dict[str, Any], out: Path, written: Checkpoint, progress: Progress | None
) -> list[str]:
    try:
        recipe = parse_recipe(manifest["recipe"], f"the recipe of {out}")
        options = Options(
            allow_non_finite=True, device=manifest["device"], key=manifest["key"], digest="none"
        )
        prepared = prepare(recipe, options, None)
    except StockpotError as error:
        raise OutputError(f"the merge of {out} cannot be repeated: {error}") from None
    sink = CompareSink(written)
    Run(
        prepared.plan,
        sink,
        seed=recipe.seed,
        digests=False,
        device=options.torch_device,
        allow_non_finite=True,
        progress=progress,
    ).execute()
    return [f"'{name}' differs from the repeated merge." for name in sorted(sink.different)]
