"""A folder of CART's factors, found again by what they were made of and bounded in size."""

import json
import os
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import blake3

from ..checkpoints.entry import Checkpoint, TensorEntry
from ..engine.options import Options
from ..engine.rows import OnDisk
from ..methods import Average, Cart
from ..methods.catalogue import method_fields, plain_method
from ..recipes.reading.recipe import Recipe
from ..recipes.reading.sizes import parse_size
from ..running.executor import in_order
from .factored import Factored, read_factored
from .making import at_any_rank, decomposed_in, factor_prepared, opened_for, recipe_of_factors

_MARKS = ("merge.json", "factored.json")
"""What lies in a directory of factors: of this version, or of an earlier one."""


def stored_factors(
    store: str | Path,
    models: Sequence[str | Path],
    method: Cart,
    *,
    weights: Sequence[float] | None = None,
    limit: int | str = "10GB",
    memory: int | str = "2GiB",
    workers: int | None = None,
) -> Factored:
    """The factors of these models at the method's rank or a larger one, made where there are none.

    They are found by BLAKE3 of every tensor's bytes, the weights and the method without rank and
    scale: files may be renamed, copied or rewritten. Those that were used longest ago are deleted
    until all together fit the limit.

    Args:
        store: a folder, made where there is none; one process at a time.
        models, method, weights, memory, workers: as of `factor_to`.
        limit: bytes that all factors in the folder may take.

    Raises:
        OutputError: these factors alone are larger than the limit.
        StockpotError: as `factor_to`.

    Cost: one pass over the models for their digests; where nothing is found, `factor_to`.
    """
    folder, most = Path(store), parse_size(limit)
    recipe = recipe_of_factors(models, method, weights)
    options = Options(memory=memory, workers=workers, device="cpu")
    return stored_factors_of(folder, recipe, options, most)


def stored_factors_of(
    folder: Path, recipe: Recipe, options: Options, most: int = parse_size("10GB")
) -> Factored:
    """The same of a recipe whose method is CART; its rules are part of what factors are made of.

    Raises:
        StockpotError: as `stored_factors`.
    """
    options = replace(options, digest="none", resume=True)
    prepared, method = opened_for(recipe, options, None), recipe.method
    assert isinstance(method, Cart)
    fields = method_fields(at_any_rank(method))
    apart = ("models", "base", "method", "searched")
    rest = {k: v for k, v in recipe.resolved().items() if k not in apart}
    rest["method"] = plain_method(Average())  # keys of stores are of what they were made with
    shares = [a.weights for a in decomposed_in(prepared)][:1]
    made_of = [fields, rest, shares, [_content(one, options) for one in prepared.inputs]]
    key = blake3.blake3(json.dumps(made_of, sort_keys=True).encode()).hexdigest()
    here = folder / key
    if here.is_dir():
        found = read_factored(here)
        if found.method.rank >= method.rank:
            os.utime(here)
            return found
        shutil.rmtree(here)
    if prepared.size <= most:
        _make_room(folder, most - prepared.size)
    shutil.rmtree(folder / f"{key}.partial", ignore_errors=True)
    return factor_prepared(here, prepared, most)


def _content(checkpoint: Checkpoint, options: Options) -> dict[str, list[object]]:
    """Digest, dtype and shape of every tensor."""

    def digest(entry: TensorEntry) -> str | None:
        return OnDisk(entry, digests=True).digest()

    entries = dict(sorted(checkpoint.entries.items()))
    digests = in_order(digest, list(entries.values()), workers=options.worker_count)
    return {
        name: [found, str(entry.dtype), list(entry.shape)]
        for (name, entry), found in zip(entries.items(), digests, strict=True)
    }


def _make_room(folder: Path, most: int) -> None:
    """Delete the factors that were used longest ago until the others take at most so much."""
    kept = sorted(_entries(folder), reverse=True)
    total = 0
    for _, size, path in kept:
        total += size
        if total > most:
            total -= size
            shutil.rmtree(path)


def _entries(folder: Path) -> Iterator[tuple[float, int, Path]]:
    """When each was used, its bytes, and where it is; nothing else in the folder is touched."""
    for path in folder.glob("*/"):
        is_key = len(path.name) == blake3.blake3().digest_size * 2
        if is_key and any((path / mark).is_file() for mark in _MARKS):
            size = sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
            yield path.stat().st_mtime, size, path
