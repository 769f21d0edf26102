"""What is written beside merged weights: the manifest, the index, the model card."""

import json
import math
import platform
from collections import Counter
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import cast

import blake3
import torch

from ..checkpoints.card import config_files, config_with_dtype, model_card
from ..checkpoints.entry import Checkpoint
from ..checkpoints.layout import index_json
from ..checkpoints.manifest import Members
from ..core import Method, Reach
from ..recipes.assignment import Assignment, Selected
from ..recipes.yaml import dump_yaml
from .local import Run
from .prepare import Prepared


def manifest_of(
    prepared: Prepared,
    fingerprint: str,
    run: Run,
    sha256: Mapping[str, str],
    small: Mapping[str, bytes],
) -> dict[str, object]:
    """merge.json: recipe, inputs and outputs with their sizes and digests, what was settled."""
    recipe, assignments = prepared.recipe, prepared.assignments
    inputs = _numbered(prepared.inputs)
    methods = list(dict.fromkeys(a.method for a in assignments.tensors if a.method is not None))
    return {
        "stockpot": version("stockpot"),
        "fingerprint": fingerprint,
        "recipe": recipe.resolved(),
        "seed": recipe.seed,
        "methods": [repr(method) for method in methods],
        "settled": run.reports,
        "selected": [_selected(s, methods) for s in assignments.selected],
        "notes": list(assignments.notes),
        "versions": {
            "python": platform.python_version(),
            "torch": str(torch.__version__),
            "safetensors": version("safetensors"),
        },
        "digest": prepared.options.digest,
        "device": prepared.options.torch_device.type,
        "key": prepared.options.key,
        "inputs": [_input(c) for c in prepared.inputs],
        "output": {
            "bytes": prepared.size,
            "files": [
                {
                    "name": shard.filename,
                    "bytes": shard.size,
                    "header": blake3.blake3(shard.header).hexdigest(),
                    **({"sha256": sha256[shard.filename]} if sha256 else {}),
                }
                for shard in prepared.shards
            ],
            "small": {
                name: {"bytes": len(content), "digest": blake3.blake3(content).hexdigest()}
                for name, content in small.items()
            },
        },
        "tensors": Members((a.name, _tensor(a, run, methods, inputs)) for a in assignments.tensors),
    }


def _input(checkpoint: Checkpoint) -> dict[str, object]:
    return {
        "path": checkpoint.label,
        "bytes": checkpoint.nbytes,
        "files": [
            {
                "name": source.path.name,
                "bytes": source.identity.size,
                "header": checkpoint.headers.get(source.path.name),
            }
            for source in checkpoint.files
        ],
        "notes": list(checkpoint.notes),
    }


def _selected(selected: Selected, methods: Sequence[Method]) -> dict[str, object]:
    return {
        "method": selected.method,
        "kind": selected.kind,
        "rest": [methods.index(method) for method in selected.rest if method in methods],
        "tensors": [selected.tensors, selected.of_tensors],
        "parameters": [selected.parameters, selected.of_parameters],
        "share": selected.share,
    }


def _numbered(inputs: Sequence[Checkpoint]) -> Mapping[str, int]:
    """The place of each input by its label; the first of two spellings of one path."""
    return {checkpoint.label: i for i, checkpoint in reversed(list(enumerate(inputs)))}


def _tensor(
    a: Assignment, run: Run, methods: Sequence[Method], inputs: Mapping[str, int]
) -> dict[str, object]:
    record = run.records[a.name]
    entry: dict[str, object] = {"role": str(a.role), "rule": a.rule}
    if a.method is not None:
        entry |= {"method": methods.index(a.method), "weights": list(a.weights)}
    if a.view is not None and a.view != a.shape:
        entry["view"] = list(a.view)
    if a.joined:
        entry["joined"] = list(a.joined)
    origins = [inputs[read.owner] for read in a.entries]
    entry["from"] = [[o, d] for o, d in zip(origins, record.inputs, strict=True)]
    entry["digest"] = record.digest
    if record.report and not (a.method and a.method.needs.reach is Reach.MODEL):
        entry["settled"] = record.report
    return entry


def donor(prepared: Prepared) -> Checkpoint:
    """Whose configuration and tokenizer the output gets: the base's, else the first model's.

    The first of them that is a directory, for a single file has neither.
    """
    base = [] if prepared.assignments.base is None else [prepared.assignments.base]
    candidates = [*base, *prepared.assignments.models]
    return next((c for c in candidates if c.directory is not None), candidates[0])


def small_files(prepared: Prepared, out: Path) -> dict[str, bytes]:
    """What lies beside the weights: configuration, tokenizer, index, model card, by name."""
    copied = {path.name: path.read_bytes() for path in config_files(donor(prepared).directory)}
    return copied | {name: text.encode() for name, text in _texts(prepared, out).items()}


def _texts(prepared: Prepared, out: Path) -> dict[str, str]:
    """The index, the model card, and a config.json whose dtype says what was written."""
    texts: dict[str, str] = {}
    index = index_json(prepared.shards)
    if index is not None:
        texts["model.safetensors.index.json"] = index
    directory = donor(prepared).directory
    config: Mapping[str, object] = {}
    if directory is not None and (directory / "config.json").is_file():
        path = directory / "config.json"
        changed = config_with_dtype(path, _prevailing_dtype(prepared.assignments.tensors))
        texts |= {"config.json": changed} if changed is not None else {}
        config = _read_config(path)
    recipe = prepared.recipe.resolved()
    parents = [c.label for c in prepared.inputs]
    texts["README.md"] = model_card(
        out.name, parents, repr(prepared.recipe.method), dump_yaml(recipe), config
    )
    return texts


def _prevailing_dtype(tensors: Sequence[Assignment]) -> torch.dtype | None:
    """The floating dtype of most of the output's elements; None where it has none."""
    elements = Counter[torch.dtype]()
    for a in tensors:
        if a.dtype.is_floating_point:
            elements[a.dtype] += math.prod(a.shape)
    return max(elements, key=elements.__getitem__, default=None)


def _read_config(path: Path) -> Mapping[str, object]:
    try:
        config = json.loads(path.read_text(encoding="utf8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return cast(Mapping[str, object], config) if isinstance(config, dict) else {}
