"""The pages of studies, and their files: what was found, and by which study of what."""

from pathlib import Path

from ..errors import CheckpointError, OutputError, StockpotError
from ..studies import FAMILY
from ..studies.study import Study, Subject
from ..training.jobs.folder import LISTING
from ..values.family import plain_value
from ..values.reading import read_plain
from .files import RESULTS, Result, read_results, render, write


def render_study(study: Result, command: str = "") -> str:
    """The page of a study, as text; see `stockpot.report.files.render`.

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


def write_study(
    found: Result, out: Path, command: str = "", made: tuple[Study, Subject] | None = None
) -> None:
    """Write report.html, results.csv and results.json into `out`, as `write_report` does.

    Args:
        found: what to write.
        out: folder; made where it is missing.
        command: what was run, for captions.
        made: the study that found it and what it looked at: what repeats it.

    Raises:
        OutputError: where a file cannot be written, or `out` is the run of an experiment.
        ExtraError: without matplotlib and Jinja2.
    """
    refuse_run(out)
    told: dict[str, object] = {}
    if made is not None:
        study, subject = made
        told = {"study": plain_value(study), "subject": subject.plain()}
    write(found, out, command, told=told)


def read_made(path: Path) -> tuple[Study, Subject]:
    """The study that a results file holds, and what it looked at.

    Raises:
        CheckpointError: it is no results file of a study, or one of an older stockpot.
        FieldError: the study has other fields now.
    """
    file = path / RESULTS if path.is_dir() else path
    head = read_results(file)
    if not head.study or not head.subject:
        raise CheckpointError(
            f"{file} does not say how to repeat it: it is no study, or one of an older stockpot. "
            f"Its command was: {head.command or 'none'}."
        )
    try:
        return FAMILY.read(head.study), read_plain(Subject, head.subject)
    except StockpotError as error:
        raise CheckpointError(f"{file} cannot be repeated: {error}") from None
