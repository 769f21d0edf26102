"""Quantised weights are refused by name: their numbers are codes, and a mean of codes is noise."""

import re
from collections.abc import Container
from pathlib import Path
from typing import cast

import torch

from ..errors import CheckpointError
from .entry import Checkpoint, FileSource, TensorEntry
from .untrusted import parse_config, shown

PACKED = {
    "GPTQ or AWQ": re.compile(r"(^|\.)(qweight|qzeros)$"),
    "bitsandbytes": re.compile(r"(^|\.)(SCB|(nested_)?(absmax|quant_map))$|\.quant_state\."),
    "compressed-tensors": re.compile(r"(^|\.)weight_packed$"),
    "HQQ": re.compile(r"(^|\.)W_q$"),
    "ComfyUI's scaled fp8": re.compile(r"(^|\.)(scaled_fp8|scale_weight)$"),
}
"""What packs weights into codes, and the tensors that tell of it."""

SCALES = ("{}_scale", "{}_scale_inv", "{}.scale", "{}.scales", "{}.SCB")
"""The names of the scale of a tensor of codes."""

_HUB_NAMES = ("model.", "model-", "pytorch_model", "diffusion_pytorch_model")
CONFIG_KEYS = ("quantization_config", "compression_config")
MAX_CONFIG = 10_000_000  # bytes
REMEDY = "its numbers are codes, not weights. Dequantise it first, such as with"


def refuse_quantised(checkpoint: Checkpoint) -> None:
    """Raise if the configuration beside the weights or the tensors themselves tell of codes.

    fp8 without scales is a dtype like any other, and allowed.
    """
    homes = {checkpoint.directory, *map(_home_of, checkpoint.files)}
    for home in homes:
        if home is not None:
            _check_config(home / "config.json")
    for name, entry in checkpoint.entries.items():
        if how := _how(entry, checkpoint.entries):
            raise CheckpointError(
                f"{shown(name)} in {checkpoint.label} is quantised ({how}): {REMEDY} transformers' "
                "model.dequantize(), and save that."
            )


def _home_of(file: FileSource) -> Path | None:
    """The folder whose config.json speaks of this file; other names may lie beside any config."""
    return file.path.parent if file.path.name.startswith(_HUB_NAMES) else None


def _how(entry: TensorEntry, names: Container[str]) -> str | None:
    for how, pattern in PACKED.items():
        if pattern.search(entry.name):
            return how
    fp8 = entry.dtype.itemsize == 1 and entry.dtype.is_floating_point
    integers = not entry.dtype.is_floating_point and entry.dtype != torch.bool
    if not fp8 and not (integers and len(entry.shape) > 1):
        return None
    module, _, leaf = entry.name.rpartition(".")
    owners = (entry.name, module) if leaf == "weight" else (entry.name,)
    for owner in owners:
        for scale in SCALES:
            if scale.format(owner) in names:
                return f"{entry.dtype} with its scale in {shown(scale.format(owner))}"
    stem = entry.name.removesuffix("_blocks")
    if stem != entry.name and f"{stem}_scales" in names:
        return "MXFP4"
    if leaf == "weight" and integers and entry.dtype.itemsize == 1:
        return f"{entry.dtype} weights"
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
                raise CheckpointError(
                    f"{path} says that the weights are quantised ({key}: {shown(said)}): {REMEDY} "
                    f"transformers' model.dequantize(); if they are weights already, delete {key}."
                )
