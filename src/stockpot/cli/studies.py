"""What the commands of all studies share."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from .console import print_json, say

if TYPE_CHECKING:
    from ..studies import Study

Folder = Annotated[Path, Parameter(name="--out", help="Folder for report.html and results.")]
Workers = Annotated[
    int | None,
    Parameter(help="Networks trained at once; by default one per core for more than 20 s of work."),
]


def refuse(out: Path) -> None:
    """Before hours of work."""
    from ..report.studies import refuse_run

    refuse_run(out)


def finish(found: "Study", out: Path, *, json: bool, quiet: bool) -> int:
    """Write the page and files, and say what was found."""
    from ..report.studies import write_study

    write_study(found, out)
    if json:
        print_json({"out": str(out), **found.as_dict()})
    elif not quiet:
        for sentence in found.sentences:
            say(sentence)
        say(f"\n{out / 'report.html'} has the figures; results.csv and results.json every number.")
    return 0
