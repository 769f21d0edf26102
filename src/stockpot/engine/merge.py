"""merge(): anything in, state dict out. merge_to(): files to files, streamed."""

import logging
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, cast

from torch import Tensor

from ..checkpoints.entry import Checkpoint
from ..checkpoints.formats.in_memory import kind_of
from ..checkpoints.writing.manifest import manifest_parts, manifest_path, read_manifest
from ..checkpoints.writing.writer import Output, clear_leftovers, is_committed
from ..core import Method
from ..errors import MergeError, NonFiniteError, OutputError
from ..recipes.meaning import meaning_of
from ..recipes.reading.recipe import Recipe, parse_recipe
from ..recipes.resolving.assignment import Assignments
from ..recipes.resolving.notes import with_lineage
from ..recipes.resolving.resolve import resolve
from ..texts import visible
from ..values.bars import Bar, bar_for
from ..values.result import Progress
from ..views.models import Model, Viewed, checkpoint_of, listed_models, open_model
from .amending import Amended, amend
from .driver import Run, SettledBefore
from .evidence import manifest_of, small_files
from .options import Options
from .plan import make_plan
from .prepare import Prepared, check_disk, prepare
from .sinks import MemorySink
from .tasks.devices import device_for

_log = logging.getLogger("stockpot")
OutputDtype = Literal["same", "float32", "bfloat16", "float16"]


@dataclass(frozen=True, slots=True)
class Merged:
    """What a merge to files did.

    Attributes:
        path: where the result stands.
        tensors: how many output tensors.
        bytes_read, bytes_written: of tensors, moved by this run.
        seconds: wall time.
        resumed: how many tensors an earlier run had finished.
        notes: what the user should know, in sentences.
    """

    path: Path
    tensors: int
    bytes_read: int
    bytes_written: int
    seconds: float
    resumed: int
    notes: tuple[str, ...]


def merge(
    models: Sequence[Model],
    method: Method,
    *,
    base: Model | None = None,
    weights: Sequence[float] | None = None,
    statistics: Sequence[Model] = (),
    dtype: OutputDtype = "same",
    seed: int = 0,
    memory: int | str = "2GiB",
    workers: int | None = None,
    allow_non_finite: bool = False,
    allow_different_configs: bool = False,
) -> dict[str, Tensor]:
    """Merge into memory; the same bits as `merge_to` writes.

    Checkpoints are streamed: of them only the result is ever in memory as a whole.

    Args:
        models: K state dicts of tensors or NumPy arrays, modules, paths of checkpoints (also
            `base+adapter`), or what `stockpot.views` makes of them, with the same tensors. Of a
            module in DataParallel or torch.compile, the one within is meant.
        method: a method value, such as `Average()` or `Ties(density=0.2)`.
        base: what the models were fine-tuned from, where the method needs it.
        weights: K raw numbers, default 1 each.
        statistics: of each model's data, under the names of its tensors, where the method needs
            them.
        dtype: of the merged float tensors; "same" is what the inputs promote to.
        seed: of methods that draw at random.
        memory: budget for buffers beyond the inputs and the result.
        workers: threads.
        allow_non_finite: let NaN and infinity through.
        allow_different_configs: merge also where configurations or tokenizers beside the models
            make other networks of the same tensors.

    Returns:
        A new state dict on the CPU, in the first model's order.

    Raises:
        StockpotError: what cannot be merged, and why.

    Example:
        >>> import torch
        >>> from stockpot.methods import Average
        >>> merge([{"w": torch.zeros(2)}, {"w": torch.ones(2)}], Average(), weights=[1, 3])
        {'w': tensor([0.7500, 0.7500])}
    """
    opened = [
        checkpoint_of(model, f"models[{i}]")
        for i, model in enumerate(listed_models(models, "models"))
    ]
    of_base = None if base is None else checkpoint_of(base, "base")
    labels = [one.label for one in opened]
    given = listed_models(statistics, "statistics")
    of_data = [checkpoint_of(one, f"statistics[{i}]") for i, one in enumerate(given)]
    recipe = _recipe(
        labels,
        method,
        of_base and of_base.label,
        weights,
        dtype,
        seed,
        allow_different_configs=allow_different_configs,
    )
    options = Options(
        memory=memory, workers=workers, device="cpu", allow_non_finite=allow_non_finite
    )
    assignments = with_lineage(resolve(recipe, opened, of_base, of_data))
    meaning = meaning_of(recipe, opened, of_base, assignments.tensors, with_files=False)
    inputs = [*opened, *([] if of_base is None else [of_base])]
    read = [note for one in inputs for note in one.notes]
    _tell([*read, *assignments.notes, *meaning.notes])
    return _in_memory(assignments, options, seed)


def merge_opened(
    recipe: Recipe,
    models: Sequence[Checkpoint],
    base: Checkpoint | None,
    options: Options,
    settled: SettledBefore | None = None,
) -> dict[str, Tensor]:
    """Carry out a recipe in memory on checkpoints that are open; the bits of `run_recipe`.

    For many recipes on the same checkpoints: nothing is opened again, and of state dicts in memory
    nothing is read from disk. Notes are not told.

    Args:
        recipe: what is merged with what.
        models, base: of the recipe, in its order.
        options: memory, workers, and whether NaN and infinity are let through.
        settled: what was settled for earlier recipes on these models, such as thresholds, and is
            not surveyed again where it does not depend on what has changed; this one adds to it.

    Raises:
        StockpotError: what cannot be merged, and why.
    """
    given = [open_model(one.statistics) for one in recipe.models if one.statistics]
    assignments = resolve(recipe, models, base, given)
    return _in_memory(assignments, options, recipe.seed, settled)


def _in_memory(
    assignments: Assignments, options: Options, seed: int, settled: SettledBefore | None = None
) -> dict[str, Tensor]:
    plan = make_plan(assignments, memory=options.memory_bytes, workers=options.worker_count)
    sink, allow = MemorySink(assignments.tensors), options.allow_non_finite
    Run(plan, sink, seed=seed, digests=False, allow_non_finite=allow, settled=settled).execute()
    base = assignments.base
    _refuse_changed([*assignments.models, *([base] if base else []), *assignments.statistics])
    return sink.state


def _tell(notes: Sequence[str]) -> None:
    for note in notes:
        _log.warning("%s", visible(note, keep=""))


def _recipe(
    paths: Sequence[str | Path | Viewed],
    method: Method,
    base: str | Path | Viewed | None,
    weights: Sequence[float] | None,
    dtype: str,
    seed: int,
    statistics: Sequence[str] = (),
    **more: object,
) -> Recipe:
    if not paths:
        raise MergeError("no model to merge: give one or more.")
    if weights is not None:
        weights = _numbers(weights)
        if len(weights) != len(paths):
            raise MergeError(f"got {len(weights)} weights for {len(paths)} models.")
    given = [None] * len(paths) if weights is None else weights
    if statistics and len(statistics) != len(paths):
        raise MergeError(f"got statistics of {len(statistics)} models for {len(paths)} models.")
    of_data = statistics or [None] * len(paths)
    models = [
        _entry(p) | {"weight": w, "statistics": s}
        for p, w, s in zip(paths, given, of_data, strict=True)
    ]
    output = {
        "dtype": dtype,
        "shard_size": more.pop("shard_size", "5GB"),
        "files_from": more.pop("files_from", None),
    }
    of_base = None if base is None else _entry(base)
    data = {"method": method, "models": models, "base": of_base, "output": output, "seed": seed}
    return parse_recipe(data | more)


def _numbers(weights: object) -> list[float]:
    """Weights that are numbers, in a list, tuple or array."""
    try:
        return [float(weight) for weight in cast(Iterable[float], weights)]
    except (TypeError, ValueError):
        raise MergeError(
            f"weights must be numbers, one for each model, such as [0.7, 0.3]; got "
            f"{str(weights)[:80]}."
        ) from None


def _entry(model: str | Path | Viewed) -> dict[str, object]:
    """A model as an entry of a recipe."""
    if isinstance(model, Viewed):
        return {"path": str(model.path), "view": model.views}
    return {"path": str(model)}


def merge_to(
    out: str | Path,
    models: Sequence[str | Path | Viewed],
    method: Method,
    *,
    base: str | Path | Viewed | None = None,
    weights: Sequence[float] | None = None,
    statistics: Sequence[str | Path] = (),
    dtype: OutputDtype = "same",
    shard_size: int | str = "5GB",
    seed: int = 0,
    missing: Literal["error", "base", "present"] = "error",
    only: Sequence[str] = (),
    files_from: str | Path | None = None,
    allow_different_configs: bool = False,
    memory: int | str = "2GiB",
    workers: int | None = None,
    device: Literal["auto", "cpu", "cuda"] = "auto",
    digest: Literal["blake3", "sha256", "none"] = "blake3",
    resume: bool = False,
    overwrite: bool = False,
    allow_non_finite: bool = False,
    key: str | None = None,
    progress: Progress | Bar | None = None,
) -> Merged:
    """Merge checkpoints on disk into `out`, streamed within a memory budget.

    Args:
        out: a .safetensors file, or a directory in the hub's layout. Either is complete at the
            end, or what was there before; `out.merge.json` or `out/merge.json` says what was done.
        models: paths of K checkpoints, also `base+adapter`, or `Viewed` ones.
        method: a method value.
        base: what the models were fine-tuned from, where the method needs it.
        weights: K raw numbers, default 1 each.
        statistics: paths of those of each model's data, where the method needs them.
        dtype: of the merged float tensors; "same" is what the inputs promote to.
        shard_size: of a directory's files, in bytes or such as "5GB".
        seed: of methods that draw at random.
        missing: what to do with a tensor that not every model has.
        only: globs of tensors to merge; the rest is copied from the base, else the first model.
        files_from: whose configuration, tokenizer and templates the output gets: 'base', a model's
            path or its index, or another folder.
        allow_different_configs: merge also where configurations or tokenizers beside the models
            make other networks of the same tensors.
        memory: budget for buffers above the interpreter and its libraries.
        workers: threads; by default one per core, at most eight.
        device: where blocks are computed.
        digest: BLAKE3 per tensor, SHA-256 of whole files beside it, or none.
        resume: continue an unfinished output; the bytes are those of an unbroken run.
        overwrite: replace an earlier output of stockpot at `out`, and that alone.
        allow_non_finite: let NaN and infinity through.
        key: which nested dictionary of a torch file is the state dict.
        progress: called with bytes moved of bytes in all, in words, and their fraction; "bar"
            shows a bar of tqdm's.

    Raises:
        StockpotError: what cannot be merged or written, and why; nothing half-written is at `out`.
    """
    if not isinstance(cast(object, out), str | Path):
        raise MergeError(
            "out must be a path, and stands before the models: merge_to('out', [a, b], Average()); "
            f"got {kind_of(out)}."
        )
    recipe = _recipe(
        listed_models(models),
        method,
        base,
        weights,
        dtype,
        seed,
        statistics=[str(one) for one in statistics],
        shard_size=shard_size,
        missing=missing,
        only=tuple(only),
        files_from=None if files_from is None else str(files_from),
        allow_different_configs=allow_different_configs,
    )
    options = Options(
        memory=memory,
        workers=workers,
        device=device,
        digest=digest,
        resume=resume,
        overwrite=overwrite,
        allow_non_finite=allow_non_finite,
        key=key,
        progress=bar_for(progress),
    )
    return run_recipe(recipe, out, options)


def run_recipe(recipe: Recipe, out: str | Path, options: Options | None = None) -> Merged:
    """Carry out a recipe into `out`; `merge_to` with everything that a recipe can say.

    Raises:
        StockpotError: as `merge_to`.
    """
    return carry_out(prepare(recipe, options or Options(), Path(out)), Path(out))


def carry_out(prepared: Prepared, out: Path) -> Merged:
    """Run what was prepared, and commit it with its manifest and card."""
    began = time.monotonic()
    options, assignments = prepared.options, prepared.assignments
    _tell(assignments.notes)
    fingerprint = prepared.fingerprint()
    if options.resume and _is_complete(out, fingerprint):
        clear_leftovers(out, fingerprint)
        count = len(assignments.tensors)
        return Merged(out, count, 0, 0, time.monotonic() - began, count, assignments.notes)
    check_disk(prepared, out)
    with Output(
        out,
        (*prepared.shards, *prepared.extras),
        fingerprint,
        resume=options.resume,
        overwrite=options.overwrite,
    ) as output:
        run = Run(
            prepared.plan,
            output,
            seed=prepared.recipe.seed,
            digests=options.digest != "none",
            device=device_for(options.torch_device),
            allow_non_finite=options.allow_non_finite,
            progress=options.progress,
            executor=options.executor,
        )
        resumed = sum(a.name in run.records for a in assignments.tensors)
        try:
            run.execute()
            _refuse_changed(prepared.inputs)
        except (NonFiniteError, MergeError):
            output.discard()
            raise
        last = prepared.amendment
        amended = Amended() if last is None else amend(output, last, run.records)
        files: Mapping[str, str] = output.digests() if options.digest == "sha256" else {}
        small = {} if output.is_file else small_files(prepared, out)
        manifest = manifest_of(prepared, out, fingerprint, run, files, small, amended)
        output.commit({**small, manifest_path(out).name: manifest_parts(manifest)})
    return Merged(
        path=out,
        tensors=len(assignments.tensors),
        bytes_read=run.bytes_read,
        bytes_written=run.bytes_written,
        seconds=time.monotonic() - began,
        resumed=resumed,
        notes=assignments.notes,
    )


def _is_complete(out: Path, fingerprint: str) -> bool:
    try:
        return is_committed(out) and read_manifest(out).get("fingerprint") == fingerprint
    except OutputError:
        return False


def _refuse_changed(inputs: Sequence[Checkpoint]) -> None:
    for checkpoint in inputs:
        for source in checkpoint.files:
            if source.changed():
                raise MergeError(
                    f"{source.path} changed while it was being merged: the result would mix two "
                    "versions and is not kept. Run again."
                )
