"""Everything that can be known and refused before the pass over the weights."""

import json
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import blake3
import torch

from .. import system
from ..checkpoints.beside.groups import Origins
from ..checkpoints.entry import Checkpoint
from ..checkpoints.formats.layout import (
    DTYPE_NAMES,
    OutputTensor,
    Shard,
    Stem,
    hub_shards,
    single_file,
    stem_of,
)
from ..errors import MergeError, OutputError
from ..methods.own import origins
from ..recipes.meaning import meaning_of
from ..recipes.published import renamed
from ..recipes.reading.recipe import Recipe
from ..recipes.resolving.assignment import Assignments, prevailing_dtype
from ..recipes.resolving.notes import AVERAGED, with_lineage
from ..recipes.resolving.resolve import resolve
from ..views.models import open_model
from ..views.naming import canonical, short_names
from ..views.view import View, labelled
from .amending import Amendment
from .options import Options
from .placing import extras_of
from .plan import Plan, make_plan
from .tasks.devices import device_for

_FOREIGN = (".pt", ".pth", ".bin", ".ckpt", ".tar", ".gguf", ".onnx", ".h5", ".npz")


@dataclass(frozen=True, slots=True)
class Prepared:
    """A merge that was checked: what it is made of, how it will run, and what it will write.

    `called` has for each input that views show the path that the user gave and its label;
    `amendment` is what is changed of the merged weights before they are put in place.
    """

    recipe: Recipe
    options: Options
    plan: Plan
    shards: tuple[Shard, ...]
    extras: tuple[Shard, ...]
    origins: Origins
    stem: Stem
    called: tuple[tuple[str, str], ...] = ()
    amendment: Amendment | None = None

    @property
    def assignments(self) -> Assignments:
        """What each output tensor is made of."""
        return self.plan.assignments

    @property
    def inputs(self) -> tuple[Checkpoint, ...]:
        """Every checkpoint that is read, once."""
        wanted = self.assignments
        base = () if wanted.base is None else (wanted.base,)
        return tuple({id(c): c for c in (*wanted.models, *base, *wanted.statistics)}.values())

    @property
    def names(self) -> Mapping[str, str]:
        """What the output calls each input, by the path that the user gave and by its label."""
        paths = _paths(self.recipe)
        names = short_names([*paths, *(str(Path(path)) for path in paths)])
        return names | {
            label: names[path] + label.removeprefix(path) for path, label in self.called
        }

    @property
    def published(self) -> dict[str, Any]:
        """The resolved recipe as the output tells it: with those names."""
        return _published(self.recipe)

    @property
    def size(self) -> int:
        """Bytes of the output's weight files, and of extras."""
        return sum(shard.size for shard in (*self.shards, *self.extras))

    def fingerprint(self) -> str:
        """Identity of recipe, inputs, layout and whatever else decides the bytes."""
        identity: dict[str, object] = {
            "version": version("stockpot"),
            "recipe": renamed(self.recipe.resolved(), canonical),
            "inputs": [_identity(c) for c in self.inputs],
            "layout": [blake3.blake3(s.header).hexdigest() for s in (*self.shards, *self.extras)],
            "device": self.options.torch_device.type,
            "digest": self.options.digest,
            "key": self.options.key,
            "allow_non_finite": self.options.allow_non_finite,
        }
        if code := origins(*dict.fromkeys(a.method for a in self.assignments.tensors if a.method)):
            identity["code"] = code
        return blake3.blake3(json.dumps(identity, sort_keys=True).encode()).hexdigest()


def _identity(checkpoint: Checkpoint) -> Mapping[str, object]:
    """Of the files behind an input: whatever tells that one of them was changed.

    A change of rights or another hard link changes the change time too, and costs a fresh start;
    without it a file edited in place, its mtime set back, would be mixed with its old self.
    """
    files = {canonical(str(f.path)): list(astuple(f.identity)) for f in checkpoint.files}
    return {"files": files, "headers": [dict(one.headers) for one in checkpoint.origins]}


def _paths(recipe: Recipe) -> list[str]:
    """Of every input, in the order in which they are told."""
    models = [one.path for one in recipe.models]
    base = [] if recipe.base is None else [recipe.base]
    views = [*(v for one in recipe.models for v in one.views), *recipe.base_views]
    beside = [path for view in views for path in view.beside]
    return [*models, *base, *(one.statistics for one in recipe.models if one.statistics), *beside]


def _published(recipe: Recipe) -> dict[str, Any]:
    return renamed(recipe.resolved(), short_names(_paths(recipe)).__getitem__)


def check_output_path(out: Path) -> None:
    """Refuse a path that cannot be an output, whatever the inputs are.

    Raises:
        OutputError: saying why not.
    """
    if out.name in ("", ".."):
        raise OutputError(f"{out} cannot be an output: name a directory to be made, or a file.")
    try:
        str(out).encode()
        out.with_name(out.name + ".partial").exists()
    except UnicodeEncodeError:
        raise OutputError(f"{str(out)[:80]!a} is not UTF-8: choose another --out.") from None
    except OSError as error:
        raise OutputError(f"{str(out)[:80]} cannot be an output: {error.strerror}.") from None
    if out.name.lower().endswith(_FOREIGN):
        raise OutputError(
            f"{out}: outputs are safetensors. Name a .safetensors file, or a directory."
        )
    if out.suffix == ".safetensors" and out.is_dir():
        raise OutputError(f"{out} is a directory but is named as a file.")
    if out.suffix != ".safetensors" and out.is_file():
        raise OutputError(f"{out} is a file: name a .safetensors file, or a directory.")


def prepare(
    recipe: Recipe, options: Options, out: Path | None, amendment: Amendment | None = None
) -> Prepared:
    """Open, resolve and plan; nothing is written, and of weights a sample is read around a base.

    Args:
        recipe: what is merged with what.
        options: how it runs.
        out: where it will be written; None where nothing will be.
        amendment: what is changed of the merged weights before they are put in place.

    Raises:
        StockpotError: the models cannot be merged so, or the output cannot be written there.
    """
    system.here.return_large_blocks()
    if out is not None:
        check_output_path(out)
    opened: dict[tuple[str, str | None, tuple[View, ...]], Checkpoint] = {}

    def opening(path: str, own: str | None = None, views: tuple[View, ...] = ()) -> Checkpoint:
        key = options.key if own is None else own
        if (path, key, views) not in opened:
            found = open_model(path, views, key=key)
            labels = [one.label for one in opened.values()]
            if views and (count := labels.count(found.label)):
                found = labelled(found, f"{found.label} {count + 1}")
            opened[path, key, views] = found
        return opened[path, key, views]

    models = [opening(one.path, one.key, one.views) for one in recipe.models]
    base = None if recipe.base is None else opening(recipe.base, recipe.base_key, recipe.base_views)
    given = [one.statistics for one in recipe.models if one.statistics is not None]
    statistics = [opening(path) for path in given]
    assignments = with_lineage(resolve(recipe, models, base, statistics))
    as_file = out is not None and out.suffix == ".safetensors"
    meaning = meaning_of(
        *(recipe, models, base, assignments.tensors),
        with_files=not as_file,
        untied=assignments.untied,
    )
    notes = (*assignments.notes, *meaning.notes)
    if amendment is not None:
        notes = (*(n for n in notes if not n.startswith(AVERAGED)), amendment.sentence)
    assignments = replace(assignments, notes=notes)
    plan = make_plan(
        assignments,
        memory=options.memory_bytes,
        workers=options.worker_count,
        arenas=device_for(options.torch_device).arenas,
    )
    tensors = [OutputTensor(a.name, a.stored_dtype, a.stored_shape) for a in assignments.tensors]
    _check_dtypes(tensors)
    metadata = {"format": "pt", "stockpot": json.dumps(_published(recipe), ensure_ascii=False)}
    metadata |= {} if amendment is None else amendment.metadata
    stem = _stem(assignments)
    if out is not None and as_file:
        shards = single_file(tensors, out.name, metadata)
    else:
        shards = hub_shards(tensors, recipe.output.shard_size, metadata, stem)
    extras = extras_of(assignments, out)
    called = tuple((path, one.label) for (path, _, views), one in opened.items() if views)
    prepared = Prepared(
        recipe, options, plan, shards, extras, meaning.origins, stem, called, amendment
    )
    if out is not None:
        _check_apart(prepared, out)
    return prepared


_DTYPES = {"fp16": torch.float16, "bf16": torch.bfloat16, "fp32": torch.float32}
"""Variants that say a dtype."""


def _stem(assignments: Assignments) -> Stem:
    """What the first model's weights are called, and its variant where all are of that variant."""
    found = [
        stem
        for one in assignments.models
        if one.directory is not None and one.files and (stem := stem_of(one.files[0].path.name))
    ]
    if not found:
        return Stem()
    variant = found[0].variant if len({one.variant for one in found}) == 1 else ""
    said = _DTYPES.get(variant)
    if said is not None and said != prevailing_dtype(assignments.tensors):
        variant = ""
    return Stem(found[0].name, variant)


def _check_dtypes(tensors: Sequence[OutputTensor]) -> None:
    """Refuse what no safetensors file can hold."""
    for tensor in tensors:
        if tensor.dtype not in DTYPE_NAMES:
            raise MergeError(
                f"'{tensor.name}' is {str(tensor.dtype).removeprefix('torch.')}, which safetensors "
                "files cannot hold: save the models with it as complex64, or merge state dicts in "
                "Python."
            )


def _check_apart(prepared: Prepared, out: Path) -> None:
    """Refuse an output that is an input, lies inside one, or would replace one."""
    target = Path(os.path.realpath(out))
    for checkpoint in prepared.inputs:
        for source in checkpoint.files:
            file = Path(os.path.realpath(source.path))
            if file == target:
                raise OutputError(f"{out} is an input: write the merge to another path.")
            if target in (file.parent, *file.parent.parents) and out.is_dir():
                raise OutputError(f"{out} contains the input {source.path}: write elsewhere.")
        for origin in checkpoint.origins:
            if origin.directory is None:
                continue
            directory = Path(os.path.realpath(origin.directory))
            if target == directory or directory in target.parents:
                raise OutputError(
                    f"{out} lies inside the input {origin.label}: write the merge elsewhere."
                )


def check_disk(prepared: Prepared, out: Path) -> None:
    """Refuse an output that the free disk cannot hold; a resume counts what is there already."""
    parent = next(p for p in (out.parent, *out.parent.parents) if p.exists())
    free = shutil.disk_usage(parent).free
    partial = out.with_name(out.name + ".partial")
    there = sum(system.here.taken(f.stat()) for f in partial.rglob("*") if f.is_file())
    if prepared.size > free + there:
        raise OutputError(
            f"{out} needs {prepared.size:,} bytes; the disk of {parent} has {free:,} free."
        )
