"""Is every tensor of an output there, as it was written, and finite."""

from collections.abc import Mapping, Sequence
from typing import Any

import blake3
import torch

from ...checkpoints.entry import Checkpoint, TensorEntry
from ...checkpoints.formats.untrusted import shown
from ...checkpoints.roles import Role
from ...running.executor import in_order, workers_for
from ...texts import size_text
from ...values.result import Progress
from ...views.sources.computed import real_parts
from ..rows import is_finite

_CHUNK = 2**22


def tensor_problems(
    written: Checkpoint,
    extras: Checkpoint | None,
    manifest: Mapping[str, Any],
    progress: Progress | None,
) -> list[str]:
    """Names, digests and finiteness; where NaN and infinity were allowed, digests alone.

    Args:
        written: the merged tensors.
        extras: what the method gave beside them.
        manifest: what both should be.
        progress: called as bytes are read.
    """
    problems, wanted = list[str](), list[tuple[TensorEntry, Mapping[str, Any]]]()
    beside: Mapping[str, TensorEntry] = {} if extras is None else extras.entries
    both = ((manifest["tensors"], written.entries), (manifest.get("extras", {}), beside))
    for told, entries in both:
        problems += [f"{shown(name)} is missing." for name in told if name not in entries]
        unknown = [name for name in entries if name not in told]
        problems += [f"{shown(name)} is there but not in the manifest." for name in unknown]
        wanted += [(entries[name], one) for name, one in told.items() if name in entries]
    finite = not manifest.get("allow_non_finite", False)
    return problems + _each(wanted, finite, progress)


def _each(
    wanted: Sequence[tuple[TensorEntry, Mapping[str, Any]]],
    finite: bool,
    progress: Progress | None,
) -> list[str]:
    total = sum(entry.nbytes for entry, _ in wanted)
    moved = 0

    def problem(item: tuple[TensorEntry, Mapping[str, Any]]) -> str | None:
        return _problem(*item, finite)

    def tell(number: int) -> None:
        nonlocal moved
        moved += wanted[number][0].nbytes
        if progress is not None:
            progress(f"{size_text(moved)} of {size_text(total)}", moved / max(total, 1))

    found = in_order(problem, wanted, workers=workers_for(None), tell=tell)
    return [one for one in found if one]


def _problem(entry: TensorEntry, told: Mapping[str, Any], check: bool) -> str | None:
    entry = real_parts(entry) if entry.dtype.is_complex else entry
    hasher, finite, digest = blake3.blake3(), True, told["digest"]
    masked = told.get("role") == Role.COUNTER  # masks may be infinite
    check = check and entry.dtype.is_floating_point and not masked
    buffer = bytearray(min(entry.nbytes, _CHUNK))
    for at in range(0, entry.nbytes, _CHUNK):
        part = memoryview(buffer)[: min(_CHUNK, entry.nbytes - at)]
        entry.source.read_into(part, entry.offset + at)
        hasher.update(part)
        if check:
            finite = finite and is_finite(torch.frombuffer(part, dtype=entry.dtype))
    if digest is not None and hasher.hexdigest() != digest:
        return f"{shown(entry.name)} is not what was written: its digest differs."
    return None if finite else f"{shown(entry.name)} holds NaN or infinity."
