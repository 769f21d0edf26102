"""`stockpot report RUN`."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from ..console import print_json, say
from ..flags import Json, Quiet

Run = Annotated[Path, Parameter(help="The folder of a finished run, or the results.json in it.")]


def report(run: Run, /, *, json: Json = False, quiet: Quiet = False) -> int:
    """Make the page of a run again from its results.json, without models and without data.

    Of whatever writes a report.html: compare, search, federate, demo, every study. The same version
    of stockpot makes the same bytes.
    """
    del quiet  # there is nothing but the result
    from ...report import rebuild

    page = rebuild(run)
    if json:
        print_json({"page": str(page), "bytes": page.stat().st_size})
    else:
        say(f"{page} is made again.")
    return 0
