"""What the commands of all studies share."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from .console import note, print_json, say
from .spoken import spoken
from .usage import UsageError

if TYPE_CHECKING:
    from ..studies import Given, Study

Folder = Annotated[Path, Parameter(name="--out", help="Folder for report.html and results.")]
Base = Annotated[str | None, Parameter(help="What the models were fine-tuned from.")]
Workers = Annotated[
    int | None,
    Parameter(help="Networks trained at once; by default one per core for more than 20 s of work."),
]


def refuse(out: Path) -> None:
    """Before hours of work."""
    from ..report.studies import refuse_run

    refuse_run(out)


def check_models(study: str, models: tuple[str, ...], workers: int | None) -> None:
    """Refuse what the command line of a study of checkpoints alone shows."""
    if not models:
        raise UsageError(f"no model given: stockpot study {study} MODEL... --out RUN.")
    if workers is not None and workers < 1:
        raise UsageError(f"--workers must be at least 1; got {workers}.")


def open_models(
    models: tuple[str, ...], base: str | None, pool: int | None, out: Path, *, quiet: bool
) -> "Given":
    """The checkpoints of a study, or those of a run; which part of it was taken is said."""
    from ..studies import models_of

    refuse(out)
    given = models_of(models, base, pool)
    if given.note and not quiet:
        note(given.note)
    return given


def finish(found: "Study", out: Path, *, json: bool, quiet: bool) -> int:
    """Write the page and files, and say what was found."""
    from ..report.studies import write_study

    write_study(found, out, spoken())
    if json:
        print_json({"out": str(out), **found.as_dict()})
    elif not quiet:
        for sentence in found.sentences:
            say(sentence)
        say(f"\n{out / 'report.html'} has the figures; results.csv and results.json every number.")
    return 0
