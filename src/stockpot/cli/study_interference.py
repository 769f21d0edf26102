"""`stockpot study interference`."""

from typing import Annotated

from cyclopts import Parameter

from ..methods.matrices import Conv, Stored, Which
from .console import print_table, steps
from .flags import Flag
from .studies import Base, Folder, check_models, finish, open_models
from .usage import UsageError

Ranks = Annotated[
    str | None, Parameter(help="Fractions of the full rank, such as 0.04,0.08,0.16,1.")
]


def interference(
    *models: str,
    out_: Folder,
    base: Base = None,
    ranks: Ranks = None,
    tensors: Which = "auto",
    conv: Conv = "average",
    qkv: Stored = "stored",
    sample: int | None = None,
    pool: int | None = None,
    memory: str = "2GiB",
    workers: int | None = None,
    json: Flag = False,
    quiet: Flag = False,
) -> int:
    """How far task vectors get in each other's way, and what low rank leaves out (CART).

    Args:
        models: Checkpoints, one for each task; or the folder of an experiment's run.
        tensors: Which matrices, as cart has it.
        conv: Whether convolutions are matrices too.
        qkv: Query, key and value that are stored as one, or split.
        pool: The seed of the run's pool; its first without it.
        sample: Look at so many matrices only, evenly over the network.
        memory: Budget for buffers, such as 512MiB or 8GiB.
        workers: Threads; by default one per core, at most eight.
        json: Print one JSON object on stdout and nothing else.
        quiet: No notes, no progress.
    """
    check_models("interference", models, workers)
    from .. import studies

    grid = studies.RANKS if ranks is None else _fractions(ranks)
    given = open_models(models, base, pool, out_, quiet=quiet)
    with steps(quiet=quiet or json) as progress:
        found = studies.interference(
            given.models,
            base=given.base,
            ranks=grid,
            tensors=tensors,
            conv=conv,
            qkv=qkv,
            sample=sample,
            names=given.names,
            private=given.private,
            memory=memory,
            workers=workers,
            progress=progress,
        )
    if not (json or quiet):
        for centre in found.centres:
            rows = [
                (f"{p.rank:.3g}", p.interference, f"{p.relative:.2%}", f"{p.overlap:.2%}")
                for p in found.overall(centre)
            ]
            columns = ("rank", "interference", "left out", "overlap")
            print_table(f"around the {centre}", columns, rows)
    return finish(found, out_, json=json, quiet=quiet)


def _fractions(text: str) -> tuple[float, ...]:
    try:
        found = tuple(float(number) for number in text.split(","))
    except ValueError:
        raise UsageError(f"--ranks: '{text[:80]}' is not numbers and commas.") from None
    if wrong := [one for one in found if not 0 < one <= 1]:
        raise UsageError(f"--ranks must be in (0, 1]; got {wrong[0]:g}.")
    return found
