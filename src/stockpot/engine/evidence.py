"""What is written beside merged weights: the manifest, the index, the model card."""

import os
import platform
from collections.abc import Iterator, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path

import blake3
import torch

from ..checkpoints.beside.config import CONFIG
from ..checkpoints.entry import Checkpoint, TensorEntry
from ..checkpoints.formats.layout import Shard, index_json
from ..checkpoints.formats.untrusted import parse_config
from ..checkpoints.writing.card import model_card
from ..checkpoints.writing.manifest import Members
from ..core import Method, Reach
from ..methods.own import origins
from ..recipes.published import reworded
from ..recipes.reading.yaml import dump_yaml
from ..recipes.resolving.assignment import Assignment, Selected
from ..views.naming import canonical
from .amending import Amended
from .driver import Run
from .prepare import Prepared

_CHUNK = 2**22
MERGED = "merged"
"""Of a tensor that was changed after the merge: the digest that it had."""


def manifest_of(
    prepared: Prepared,
    out: Path,
    fingerprint: str,
    run: Run,
    sha256: Mapping[str, str],
    small: Mapping[str, bytes],
    amended: Amended = Amended(),  # noqa: B008 - frozen
) -> dict[str, object]:
    """merge.json: recipe, inputs and outputs with their sizes and digests, what was settled."""
    recipe, assignments, names = prepared.recipe, prepared.assignments, prepared.names
    folder = (out.parent if out.suffix == ".safetensors" else out).resolve()
    inputs = _numbered(prepared.inputs)
    methods = list(dict.fromkeys(a.method for a in assignments.tensors if a.method is not None))
    return {
        "stockpot": version("stockpot"),
        "fingerprint": fingerprint,
        "recipe": prepared.published,
        "seed": recipe.seed,
        "methods": [repr(method) for method in methods],
        **({"code": code} if (code := origins(*methods)) else {}),
        "settled": run.reports,
        "selected": [_selected(s, methods) for s in assignments.selected],
        "notes": [reworded(note, names) for note in assignments.notes],
        "versions": {
            "python": platform.python_version(),
            "torch": str(torch.__version__),
            "safetensors": version("safetensors"),
        },
        "digest": prepared.options.digest,
        "allow_non_finite": prepared.options.allow_non_finite,
        "device": prepared.options.torch_device.type,
        "key": prepared.options.key,
        "inputs": [_input(c, names, folder) for c in prepared.inputs],
        "output": {
            "bytes": prepared.size,
            "files": [_file(shard, sha256) for shard in prepared.shards],
            **({"extras": [_file(s, sha256) for s in prepared.extras]} if prepared.extras else {}),
            "groups": _groups(prepared),
            "small": _small(prepared, small),
        },
        **({amendment.key: dict(amendment.told)} if (amendment := prepared.amendment) else {}),
        "tensors": Members(
            (a.name, _tensor(a, run, methods, inputs, names) | _amended(a, run, amended))
            for a in assignments.tensors
        ),
        **({"extras": Members(_extras(assignments.tensors, run))} if prepared.extras else {}),
    }


def _file(shard: Shard, sha256: Mapping[str, str]) -> dict[str, object]:
    return {
        "name": shard.filename,
        "bytes": shard.size,
        "header": blake3.blake3(shard.header).hexdigest(),
        **({"sha256": sha256[shard.filename]} if sha256 else {}),
    }


def _extras(tensors: Sequence[Assignment], run: Run) -> Iterator[tuple[str, dict[str, object]]]:
    """Of each extra the tensor that it is of, its own name, the model's number, and its digest."""
    for placed in (placed for a in tensors for placed in a.extras):
        about: dict[str, object] = {"of": placed.tensor, "name": placed.extra.name}
        about |= {} if placed.model is None else {"model": placed.model}
        yield placed.key, about | {"digest": run.records[placed.key].digest}


def _input(checkpoint: Checkpoint, names: Mapping[str, str], folder: Path) -> dict[str, object]:
    """An input; one that is made of several tells of each where it lies and what files it has."""
    origins = checkpoint.origins
    own = [one.label for one in origins] == [checkpoint.label]
    told = [_located(one, names, folder) for one in origins]
    rest: dict[str, object] = {"path": told[0]["path"]} if own else {"path": None, "parts": told}
    return {
        "name": names.get(checkpoint.label, checkpoint.label),
        **rest,
        "bytes": checkpoint.nbytes,
        "files": [file for one in origins for file in _files(one)],
        "notes": [reworded(note, names) for note in checkpoint.notes],
    }


def _located(origin: Checkpoint, names: Mapping[str, str], folder: Path) -> dict[str, object]:
    return {
        "name": names.get(origin.label, origin.label),
        "path": _from(folder, origin.label),
        "files": _files(origin),
    }


def _files(origin: Checkpoint) -> list[dict[str, object]]:
    return [
        {
            "name": source.path.name,
            "bytes": source.identity.size,
            "header": origin.headers.get(source.path.name),
        }
        for source in origin.files
    ]


def _from(folder: Path, path: str) -> str | None:
    """The way from an output's folder to an input; None where it would tell the whole path."""
    there = Path(canonical(path))
    shared = there.is_absolute() and Path(os.path.commonpath([folder, there]))
    return os.path.relpath(there, folder) if shared and shared.name else None


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
    a: Assignment,
    run: Run,
    methods: Sequence[Method],
    inputs: Mapping[str, int],
    names: Mapping[str, str],
) -> dict[str, object]:
    record = run.records[a.name]
    entry: dict[str, object] = {"role": str(a.role), "rule": reworded(a.rule, names)}
    if a.method is not None:
        entry |= {"method": methods.index(a.method), "weights": list(a.weights)}
    if a.view is not None and a.view != a.shape:
        entry["view"] = list(a.view)
    if a.joined:
        entry["joined"] = list(a.joined)
    if a.derivation is not None:
        entry["derived"] = a.derivation.of
    if a.entries and a.entries[0].stands_for is not None:
        entry["made_of"] = [part.name for part in a.entries[0].made_of]
    origins = [inputs[read.owner] for read in a.entries]
    entry["from"] = [[o, d] for o, d in zip(origins, record.inputs, strict=True)]
    if any(read.made_of and read.stands_for is None for read in a.entries):
        entry["parts"] = _parts(a.entries, record.inputs, names)
    entry["digest"] = record.digest
    if record.report and not (a.method and a.method.needs.reach is Reach.MODEL):
        entry["settled"] = record.report
    return entry


def _amended(a: Assignment, run: Run, amended: Amended) -> dict[str, object]:
    """Of a tensor that was changed after the merge its digest then and before."""
    if a.name not in amended.digests:
        return {}
    return {"digest": amended.digests[a.name], MERGED: run.records[a.name].digest}


def _parts(
    entries: Sequence[TensorEntry], digests: Sequence[str | None], names: Mapping[str, str]
) -> list[list[list[object]] | None]:
    """For each row the stored tensors that it is computed from, by model, name and digest.

    Parts that are rows too have been hashed with them; the others are read once more.
    """
    known = {_place(e): d for e, d in zip(entries, digests, strict=True) if d is not None}
    told: list[list[list[object]] | None] = []
    for read in entries:
        if not read.made_of or read.stands_for is not None:
            told.append(None)
            continue
        rows: list[list[object]] = []
        for part in read.origins:
            if digests[0] is not None and _place(part) not in known:
                known[_place(part)] = _digest(part)
            owner = names.get(part.owner, part.owner)
            rows.append([owner, part.name, known.get(_place(part))])
        told.append(rows)
    return told


def _digest(entry: TensorEntry) -> str:
    """Of a tensor's bytes, read once more."""
    hasher = blake3.blake3(max_threads=blake3.blake3.AUTO)
    buffer = memoryview(bytearray(min(entry.nbytes, _CHUNK)))
    for at in range(0, entry.nbytes, _CHUNK):
        part = buffer[: min(_CHUNK, entry.nbytes - at)]
        entry.source.read_into(part, entry.offset + at)
        hasher.update(part)
    return hasher.hexdigest()


def _place(entry: TensorEntry) -> tuple[int, int, int]:
    return id(entry.source), entry.offset, entry.nbytes


def small_files(prepared: Prepared, out: Path) -> dict[str, bytes]:
    """What lies beside the weights: configuration, tokenizer, index, model card, by name."""
    small = prepared.origins.contents()
    index = index_json(prepared.shards)
    if index is not None:
        small[prepared.stem.index] = index.encode()
    parents = [
        prepared.names.get(one.label, one.label) for c in prepared.inputs for one in c.origins
    ]
    card = model_card(
        out.name,
        parents,
        repr(prepared.recipe.method),
        dump_yaml(prepared.published),
        parse_config(small.get(CONFIG, b"{}"), CONFIG),
    )
    if prepared.amendment is not None:
        card += f"\n{prepared.amendment.sentence}\n"
    return small | {"README.md": card.encode()}


def _small(prepared: Prepared, small: Mapping[str, bytes]) -> dict[str, object]:
    """Of each small file its digest, and which group it is of."""
    files = prepared.origins.files
    return {
        name: {
            "bytes": len(content),
            "digest": blake3.blake3(content).hexdigest(),
            **({"group": str(files[name])} if name in files else {}),
            **({"made": True} if name in prepared.origins.made or name not in files else {}),
        }
        for name, content in small.items()
    }


def _groups(prepared: Prepared) -> dict[str, object]:
    """Of each group of small files the model that it comes from, by its number among the inputs."""
    numbers = {one.label: number for number, one in enumerate(prepared.inputs)}
    return {
        str(group): {"from": numbers.get(one.label, one.folder.name if one.folder else None)}
        for group, one in prepared.origins.donors.items()
    }
