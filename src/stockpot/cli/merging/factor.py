"""`stockpot factor MODEL... --out FACTORS` and `stockpot restore FACTORS --out FILE`."""

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from ...engine.prepare import check_output_path
from ...errors import OutputError
from ...factors.factored import Factored, read_factored
from ...factors.making import factor_to
from ...methods import Cart
from ...texts import size_text
from ..command_line import UsageError, told_by_the_command_line
from ..console import print_json, say
from ..flags import Json, Memory, Overwrite, Quiet, Workers
from .merge import Weights, refuse_other_count

Model = Annotated[str, Parameter(help="The tasks' models, in the order of their numbers from 0.")]
Factors = Annotated[Path, Parameter(help="A directory that stockpot factor has written.")]


def factor(
    *models: Model,
    out: Path,
    rank: float = 0.08,
    weights: Weights = None,
    tensors: Literal["auto", "matrices", "blocks", "attention-mlp"] = "auto",
    conv: Literal["average", "as-matrix"] = "average",
    qkv: Literal["stored", "split"] = "stored",
    limit: str | None = None,
    memory: Memory = "2GiB",
    workers: Workers = None,
    overwrite: Overwrite = False,
    json: Json = False,
    quiet: Quiet = False,
) -> int:
    """Store models as their average and CART's low-rank factors of each: one network per task.

    Args:
        out: A directory to be made.
        rank: Fraction of the full rank that is kept, the largest that can be asked for later.
        tensors: Which tensors have factors; the others are the average's in every task.
        conv: Convolutions: averaged, or with factors.
        qkv: Query, key and value stored as one: taken so, or as three.
        limit: Refuse, before anything is computed, what would be larger, such as 5GB.
    """
    del quiet  # there is nothing but the result
    with told_by_the_command_line():
        if not models:
            raise UsageError("no model given: stockpot factor MODEL... --out FACTORS.")
        refuse_other_count(weights, len(models))
        method = Cart(rank=rank, tensors=tensors, conv=conv, qkv=qkv)
    kept = factor_to(
        out,
        models,
        method,
        weights=weights,
        limit=limit,
        memory=memory,
        workers=workers,
        overwrite=overwrite,
    )
    if json:
        print_json({"path": str(out), "tasks": list(kept.tasks), "rank": rank, **kept.sizes})
    else:
        say(f"{out}: {len(kept.views):,} tensors of {len(models)} models at rank {rank:g}.")
        say(_sizes(kept))
    return 0


def restore(
    factors: Factors,
    /,
    *,
    out: Path,
    task: int | None = None,
    rank: float | None = None,
    scale: float = 1.0,
    overwrite: Overwrite = False,
    json: Json = False,
    quiet: Quiet = False,
) -> int:
    """Write one task's network from stored factors, or all tasks merged by CART.

    Args:
        out: A .safetensors file.
        task: The model's number, from 0; without it all of them are merged.
        rank: Fraction of the full rank, up to the stored one, which is the default.
        scale: On what is added to the average.
    """
    del quiet  # there is nothing but the result
    with told_by_the_command_line():
        if out.suffix != ".safetensors":
            raise UsageError(f"{out}: --out must be a .safetensors file.")
        check_output_path(out)
    kept = read_factored(factors)
    if task is not None and not 0 <= task < len(kept.tasks):
        raise UsageError(f"task must be in [0, {len(kept.tasks) - 1}]; got {task}.")
    if out.exists() and not overwrite:
        raise OutputError(f"{out} exists: pass --overwrite to replace it, or another --out.")
    if task is None:
        state = kept.merged(rank=rank, scale=scale)
    else:
        state = kept.task(task, rank=rank, scale=scale)
    try:
        from ...networks.weights import save_state

        save_state(state, out, {})
    except OSError as error:
        raise OutputError(f"cannot write {out}: {error.strerror}.") from None
    size = out.stat().st_size
    if json:
        print_json({"path": str(out), "task": task, "tensors": len(state), "bytes": size})
        return 0
    what = f"{len(kept.tasks)} tasks merged" if task is None else kept.tasks[task]
    say(f"{out}: {what}, {len(state):,} tensors, {size_text(size)}.")
    return 0


def _sizes(kept: Factored) -> str:
    sizes = kept.sizes
    mine = sizes["average"] + sizes["factors"]
    return (
        f"average {size_text(sizes['average'])} and factors {size_text(sizes['factors'])}: "
        f"{mine / sizes['models']:.1%} of the models' {size_text(sizes['models'])}."
    )
