"""`stockpot study connectivity`."""

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from .console import note, print_table, steps
from .flags import Flag
from .studies import Folder, finish, refuse
from .usage import UsageError

Source = Annotated[Path, Parameter(help="An experiment's YAML, or the folder of its run.")]
Pairs = Annotated[str, Parameter(help="all, first (the first with each other), or a number.")]
Curves = Annotated[str, Parameter(help="bezier, polygon, both with a comma, or none.")]
Lr = Annotated[float, Parameter(help="Of the curves' fit, by SGD.")]


def connectivity(
    source: Source,
    /,
    *,
    out_: Folder,
    pairs: Pairs = "all",
    points: int = 11,
    plane: int = 21,
    curves: Curves = "bezier",
    bends: int = 1,
    epochs: int = 10,
    lr: Lr = 0.05,
    samples: int = 2000,
    rescale: Literal["none", "weights", "function"] = "none",
    workers: int | None = None,
    json: Flag = False,
    quiet: Flag = False,
) -> int:
    """What lies between networks: barriers on lines, fitted curves, planes through three.

    Args:
        points: Of each path, an odd number.
        plane: Points along a side of a plane; 0 for none.
        bends: Control points of a curve between its ends.
        epochs: Of the curves' fit.
        samples: At most so many of each split.
        rescale: Give both ends one fused scope first, by weights or with the function kept.
        workers: Networks trained at once; by default one per core.
        json: Print one JSON object on stdout and nothing else.
        quiet: No notes, no progress.
    """
    from .. import studies
    from ..training import Fit

    how = Fit(epochs=epochs, lr=lr, optimiser="sgd", weight_decay=0.0)
    look = studies.Look(
        pairs=_pairs(pairs),
        points=points,
        plane=plane,
        curves=_curves(curves),
        bends=bends,
        how=how,
        samples=samples,
        rescale=rescale,
    )
    refuse(out_)
    try:
        with steps(quiet=quiet or json) as progress:
            trial = studies.pools_of(source, out_, workers=workers, progress=progress)
            found = studies.connectivity(trial.pools, look, progress=progress)
    except KeyboardInterrupt:
        note("finished networks are kept: the same command goes on from there.")
        raise
    if not (json or quiet):
        rows = [
            (
                *(one.cell or "-", one.pair, one.way, one.statistics, one.split),
                *(one.barrier, one.barrier_low, one.barrier_high),
                *(100 * one.drop, 100 * one.accuracy),
            )
            for one in found.barriers
            if one.pool == "all"
        ]
        columns = ("cell", "pair", "way", "statistics", "split", "barrier", "low", "high")
        print_table("over pools", (*columns, "drop, points", "accuracy of ends, %"), rows)
    return finish(found, out_, json=json, quiet=quiet)


def _pairs(text: str) -> Literal["all", "first"] | int:
    if text == "all" or text == "first":
        return text
    if text.isdecimal() and int(text) > 0:
        return int(text)
    raise UsageError(f"--pairs: '{text[:80]}' is not all, first or a number of at least 1.")


def _curves(text: str) -> tuple[Literal["bezier", "polygon"], ...]:
    found: list[Literal["bezier", "polygon"]] = []
    for word in () if text == "none" else text.split(","):
        if word != "bezier" and word != "polygon":
            raise UsageError(f"--curves: '{word[:80]}' is not bezier, polygon or none.")
        found.append(word)
    return tuple(found)
