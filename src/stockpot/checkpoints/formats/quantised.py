"""Quantised weights are refused by name: their numbers are codes, and a mean of codes is noise."""

from collections.abc import Container
from pathlib import Path
from typing import cast

import torch

from ...errors import CheckpointError
from ..entry import Checkpoint, TensorEntry
from ..source import FileSource
from .dequantising import BY_LEAF, PACKED, Format, by_method, way_of_scale
from .untrusted import parse_config, shown

CODES = ("qweight", "qzeros")
"""Of GPTQ, beside which lies g_idx, and of AWQ."""

_STATE = ".quant_state."
"""In the names of what bitsandbytes keeps beside the codes of a weight."""

SCALES = ("{}_scale", "{}_scale_inv", "{}.scale", "{}.scales", "{}.SCB")
"""The names of the scale of a tensor of codes."""

_HUB_NAMES = ("model.", "model-", "pytorch_model", "diffusion_pytorch_model")
CONFIG_KEYS = ("quantization_config", "compression_config")
MAX_CONFIG = 10_000_000  # bytes
CAUSE = "its numbers are codes, not weights. Dequantise it first"


def refuse_quantised(checkpoint: Checkpoint) -> None:
    """Raise if the configuration beside the weights or the tensors themselves tell of codes.

    fp8 without scales is a dtype like any other, and allowed.
    """
    homes = {checkpoint.directory, *map(_home_of, checkpoint.files)}
    for home in homes:
        if home is not None:
            _check_config(home / "config.json")
    for name, entry in checkpoint.entries.items():
        if found := _format(entry, checkpoint.entries):
            raise CheckpointError(
                f"{shown(name)} in {checkpoint.label} is quantised ({found.called}): {CAUSE}. "
                f"{_begun(found.way)}."
            )


def _begun(way: str) -> str:
    return way[0].upper() + way[1:]


def _home_of(file: FileSource) -> Path | None:
    """The folder whose config.json speaks of this file; other names may lie beside any config."""
    return file.path.parent if file.path.name.startswith(_HUB_NAMES) else None


def _format(entry: TensorEntry, names: Container[str]) -> Format | None:
    """What packs this tensor, by its own name and those beside it."""
    module, _, leaf = entry.name.rpartition(".")
    if leaf in CODES:
        return by_method("gptq") if f"{module}.g_idx" in names else PACKED
    told = BY_LEAF.get(leaf)
    if told and (not told.beside or f"{module}.{told.beside}" in names):
        return told
    if _STATE in entry.name:
        return by_method("bitsandbytes")
    fp8 = entry.dtype.itemsize == 1 and entry.dtype.is_floating_point
    integers = not entry.dtype.is_floating_point and entry.dtype != torch.bool
    if not fp8 and not (integers and len(entry.shape) > 1):
        return None
    owners = (entry.name, module) if leaf == "weight" else (entry.name,)
    for owner in owners:
        for scale in SCALES:
            if scale.format(owner) in names:
                said = f"{entry.dtype} with its scale in {shown(scale.format(owner))}"
                return Format(said, way_of_scale(scale, entry.dtype))
    stem = entry.name.removesuffix("_blocks")
    if stem != entry.name and f"{stem}_scales" in names:
        return by_method("mxfp4")
    if leaf == "weight" and integers and entry.dtype.itemsize == 1:
        return Format(f"{entry.dtype} weights")
    return None


def _check_config(path: Path) -> None:
    if not path.is_file():
        return
    source = FileSource(path)
    if source.identity.size > MAX_CONFIG:
        raise CheckpointError(f"{path} has {source.identity.size:,} bytes, too many for a config.")
    config = parse_config(source.read(0, source.identity.size), str(path))
    inner = config.get("text_config")
    for part in (config, cast(dict[str, object], inner) if isinstance(inner, dict) else {}):
        for key in CONFIG_KEYS:
            if said := part.get(key):
                given = cast(dict[str, object], said) if isinstance(said, dict) else {}
                old = "compressed-tensors" if key == "compression_config" else None
                found = by_method(given.get("quant_method", old))
                raise CheckpointError(
                    f"{path} says that the weights are quantised "
                    f"({key}: {shown(cast(object, said))}): {CAUSE}. "
                    f"{_begun(found.way)}. If they are weights already, delete {key}."
                )
