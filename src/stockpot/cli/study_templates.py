"""`stockpot study templates`."""

from pathlib import Path
from typing import TYPE_CHECKING

from .console import print_table, steps
from .flags import Flag
from .studies import Folder, Workers, finish, refuse

if TYPE_CHECKING:
    from ..studies.templates.result import Measure, Subject

_SHOWN: "tuple[Measure, ...]" = (
    *("correlation", "correlation_raw", "ssim", "contrast", "ratio", "alike", "accuracy"),
)
_SUBJECTS: "tuple[Subject, ...]" = ("single", "merged", "pair")


def templates(
    source: Path,
    *,
    out_: Folder,
    workers: Workers = None,
    json: Flag = False,
    quiet: Flag = False,
) -> int:
    """Weights as pictures: do they match class means, and do averages fade?

    Args:
        source: An experiment's YAML, trained into OUT/run; or the folder of a run.
        json: Print one JSON object on stdout and nothing else.
        quiet: No notes, no progress.
    """
    from .. import studies

    refuse(out_)
    with steps(quiet=quiet or json) as progress:
        trial = studies.pools_of(source, out_, workers=workers, progress=progress)
        found = studies.templates(trial, progress=progress)
    if not (json or quiet):
        for cell in found.cells:
            rows = [
                (f"{decay:g}", subject, *(found.at(cell, decay, subject, m).value for m in _SHOWN))
                for decay in found.decays(cell)
                for subject in _SUBJECTS
                if found.parents(cell, subject)
            ]
            print_table(cell, ("weight decay", "of", *_SHOWN), rows)
    return finish(found, out_, json=json, quiet=quiet)
