"""Everything that can be known and refused before a byte of weights is read."""

import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import blake3

from ..checkpoints.entry import Checkpoint
from ..checkpoints.layout import OutputTensor, Shard, hub_shards, single_file
from ..checkpoints.read import read_checkpoint
from ..errors import OutputError
from ..recipes.assignment import Assignments
from ..recipes.model import Recipe
from ..recipes.resolve import resolve
from .allocator import return_large_blocks
from .options import Options
from .plan import Plan, make_plan

_FOREIGN = (".pt", ".pth", ".bin", ".ckpt", ".tar", ".gguf", ".onnx", ".h5", ".npz")


@dataclass(frozen=True, slots=True)
class Prepared:
    """A merge that was checked: what it is made of, how it will run, and what it will write."""

    recipe: Recipe
    options: Options
    plan: Plan
    shards: tuple[Shard, ...]

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
    def size(self) -> int:
        """Bytes of the output's weight files."""
        return sum(shard.size for shard in self.shards)

    def fingerprint(self) -> str:
        """Identity of recipe, inputs, layout and whatever else decides the bytes."""
        identity = {
            "version": version("stockpot"),
            "recipe": self.recipe.resolved(),
            "inputs": [_identity(c) for c in self.inputs],
            "layout": [blake3.blake3(shard.header).hexdigest() for shard in self.shards],
            "device": self.options.torch_device.type,
            "digest": self.options.digest,
            "key": self.options.key,
            "allow_non_finite": self.options.allow_non_finite,
        }
        return blake3.blake3(json.dumps(identity, sort_keys=True).encode()).hexdigest()


def _identity(checkpoint: Checkpoint) -> Mapping[str, object]:
    files = {
        str(f.path): [f.identity.size, f.identity.mtime_ns, f.identity.inode]
        for f in checkpoint.files
    }
    return {"label": checkpoint.label, "files": files, "headers": dict(checkpoint.headers)}


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


def prepare(recipe: Recipe, options: Options, out: Path | None) -> Prepared:
    """Open, resolve and plan; nothing is written and no weight is read.

    Args:
        recipe: what is merged with what.
        options: how it runs.
        out: where it will be written; None where nothing will be.

    Raises:
        StockpotError: the models cannot be merged so, or the output cannot be written there.
    """
    return_large_blocks()
    if out is not None:
        check_output_path(out)
    opened: dict[str, Checkpoint] = {}

    def opening(path: str) -> Checkpoint:
        if path not in opened:
            opened[path] = read_checkpoint(path, key=options.key)
        return opened[path]

    models = [opening(ingredient.path) for ingredient in recipe.models]
    base = None if recipe.base is None else opening(recipe.base)
    given = [one.statistics for one in recipe.models if one.statistics is not None]
    statistics = [opening(path) for path in given]
    assignments = resolve(recipe, models, base, statistics)
    plan = make_plan(assignments, memory=options.memory_bytes, workers=options.worker_count)
    tensors = [OutputTensor(a.name, a.dtype, a.shape) for a in assignments.tensors]
    metadata = {"format": "pt", "stockpot": json.dumps(recipe.resolved(), ensure_ascii=False)}
    if out is not None and out.suffix == ".safetensors":
        shards = single_file(tensors, out.name, metadata)
    else:
        shards = hub_shards(tensors, recipe.output.shard_size, metadata)
    prepared = Prepared(recipe, options, plan, shards)
    if out is not None:
        _check_apart(prepared, out)
    return prepared


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
        if checkpoint.directory is not None:
            directory = Path(os.path.realpath(checkpoint.directory))
            if target == directory or directory in target.parents:
                raise OutputError(
                    f"{out} lies inside the input {checkpoint.label}: write the merge elsewhere."
                )


def check_disk(prepared: Prepared, out: Path) -> None:
    """Refuse an output that the free disk cannot hold; a resume counts what is there already."""
    parent = next(p for p in (out.parent, *out.parent.parents) if p.exists())
    free = shutil.disk_usage(parent).free
    partial = out.with_name(out.name + ".partial")
    there = sum(f.stat().st_blocks * 512 for f in partial.rglob("*") if f.is_file())
    if prepared.size > free + there:
        raise OutputError(
            f"{out} needs {prepared.size:,} bytes; the disk of {parent} has {free:,} free."
        )
