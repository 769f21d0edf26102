"""The pages of studies, and their files."""

from pathlib import Path

from ..errors import OutputError
from ..studies import Study
from ..training.folder import LISTING
from .written import render, write


def render_study(study: Study, command: str = "") -> str:
    """The page of a study, as text; see `stockpot.report.written.render`.

    Raises:
        OutputError: the page would be larger than 3 MB.
        ExtraError: without matplotlib and Jinja2.
    """
    return render(study, command)


def refuse_run(out: Path) -> None:
    """A run's folder has a report of its own, which a study must not replace.

    Raises:
        OutputError: `out` is one.
    """
    if (out / LISTING).exists():
        raise OutputError(
            f"{out} is the run of an experiment, with a report of its own: give the study a folder "
            f"in it, such as --out {out / 'study'}."
        )


def write_study(study: Study, out: Path, command: str = "") -> None:
    """Write report.html, results.csv and results.json into `out`, as `write_report` does.

    Raises:
        OutputError: where a file cannot be written, or `out` is the run of an experiment.
        ExtraError: without matplotlib and Jinja2.
    """
    refuse_run(out)
    write(study, out, command)
