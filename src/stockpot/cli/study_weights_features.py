"""`stockpot study weights-features`."""

from pathlib import Path
from typing import TYPE_CHECKING

from .console import print_table, steps
from .flags import Flag
from .studies import Folder, Workers, finish, refuse
from .usage import UsageError

if TYPE_CHECKING:
    from ..studies.weights_features.result import Measure

_SHOWN: "tuple[Measure, ...]" = ("cosine", "distance", "spread", "own", "disagree", "variance")


def weights_features(
    source: Path,
    *,
    out_: Folder,
    count: int | None = None,
    samples: int = 1024,
    workers: Workers = None,
    json: Flag = False,
    quiet: Flag = False,
) -> int:
    """How far averaged weights are from averaged features, layer by layer, and why.

    Args:
        source: An experiment's YAML, trained into OUT/run; or the folder of a run.
        count: Average the first so many ingredients of each pool; all without it.
        samples: Of the test split, drawn at random.
        json: Print one JSON object on stdout and nothing else.
        quiet: No notes, no progress.
    """
    if count is not None and count < 2:
        raise UsageError(f"--count must be at least 2; got {count}.")
    if samples < 2:
        raise UsageError(f"--samples must be at least 2; got {samples}.")
    from .. import studies

    refuse(out_)
    with steps(quiet=quiet or json) as progress:
        trial = studies.pools_of(source, out_, workers=workers, progress=progress)
        found = studies.weights_features(trial, count=count, samples=samples, progress=progress)
    if not (json or quiet):
        for cell in found.cells:
            rows = [
                (
                    one.layer,
                    one.kind,
                    *(found.at(cell, "merged", one.place, m).value for m in _SHOWN),
                )
                for one in found.places(cell)
            ]
            print_table(cell, ("layer", "kind", *_SHOWN), rows)
    return finish(found, out_, json=json, quiet=quiet)
