"""`stockpot study magnitude EXPERIMENT.yml|RUN --out OUT`."""

import math
from typing import Annotated

from cyclopts import Parameter

from .console import steps
from .flags import Flag
from .studies import Folder, Workers, finish, refuse
from .usage import UsageError

Counts = Annotated[
    str | None, Parameter(help="Numbers of ingredients, such as 2,5,10; the experiment's own.")
]
Factors = Annotated[
    str | None,
    Parameter(help="Factors M, such as 1,50,90,100; by default 12 to beyond the overflow."),
]
Perturb = Annotated[
    str | None,
    Parameter(
        help="Which of everything, one-ingredient, weights, rescaling, noise, temperature; all."
    ),
]


def magnitude(
    source: str,
    *,
    out_: Folder,
    counts: Counts = None,
    factors: Factors = None,
    perturb: Perturb = None,
    workers: Workers = None,
    json: Flag = False,
    quiet: Flag = False,
) -> int:
    """Are merges more robust to the magnitude of weights than ensembles (arXiv 2411.09263)?

    Args:
        source: An experiment, trained in OUT/run; or the folder of a finished run.
        json: Print one JSON object on stdout and nothing else.
        quiet: No notes, no progress.
    """
    sizes = numbers("--factors", factors)
    if wrong := [one for one in sizes if not (one >= 1 and math.isfinite(one))]:
        raise UsageError(f"--factors must be 1 or more; got {wrong[0]:g}.")
    own = whole_numbers("--counts", counts)
    named = [] if perturb is None else perturb.split(",")
    refuse(out_)
    from .. import studies

    with steps(quiet=quiet or json) as progress:
        trial = studies.pools_of(source, out_, workers=workers, progress=progress)
        found = studies.magnitude(
            trial, counts=own, factors=sizes, perturbations=named, progress=progress
        )
    return finish(found, out_, json=json, quiet=quiet)


def numbers(flag: str, text: str | None) -> list[float]:
    """Numbers between commas.

    Raises:
        UsageError: there is something else.
    """
    try:
        return [float(one) for one in text.split(",")] if text is not None else []
    except ValueError:
        raise UsageError(f"{flag}: '{str(text)[:80]}' is not numbers and commas.") from None


def whole_numbers(flag: str, text: str | None) -> list[int]:
    """Whole numbers of at least 2 between commas.

    Raises:
        UsageError: there is something else.
    """
    found = numbers(flag, text)
    if wrong := [one for one in found if not (one >= 2 and one.is_integer())]:
        raise UsageError(f"{flag} must be whole numbers of at least 2; got {wrong[0]:g}.")
    return [int(one) for one in found]
