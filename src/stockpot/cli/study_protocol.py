"""`stockpot study protocol EXPERIMENT.yml|RUN --out OUT`."""

from .console import steps
from .flags import Flag
from .studies import Folder, Workers, finish, refuse
from .study_magnitude import Counts, whole_numbers


def protocol(
    source: str,
    *,
    out_: Folder,
    counts: Counts = None,
    workers: Workers = None,
    json: Flag = False,
    quiet: Flag = False,
) -> int:
    """What testing as published adds to or takes from each column (arXiv 2411.09263's code).

    Args:
        source: An experiment, trained in OUT/run; or the folder of a finished run.
        json: Print one JSON object on stdout and nothing else.
        quiet: No notes, no progress.
    """
    own = whole_numbers("--counts", counts)
    refuse(out_)
    from .. import studies

    with steps(quiet=quiet or json) as progress:
        trial = studies.pools_of(source, out_, workers=workers, progress=progress)
        found = studies.protocol(trial, counts=own, progress=progress)
    return finish(found, out_, json=json, quiet=quiet)
