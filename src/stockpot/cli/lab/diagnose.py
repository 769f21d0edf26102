"""`stockpot diagnose MODEL...`, made of the diagnosis' fields as the studies are.

`stockpot diagnose RESULTS.json` repeats the diagnosis that a results file holds.
"""

from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from ...studies import Diagnosis
from ...studies.study import Study
from ..command_line import UsageError
from ..fields import optional_flag
from .study import perform, study_command, subject_of

Folder = Annotated[
    Path | None, Parameter(name="--out", help="Folder for report.html and results, if wanted.")
]


def _diagnose(
    study: Study, models: tuple[str, ...], *, out_: Path | None = None, **flags: Any
) -> int:
    if len(models) == 1 and Path(models[0]).suffix == ".json":
        return _repeat(study, Path(models[0]), out_, flags)
    subject = subject_of(models, flags, "stockpot diagnose MODEL MODEL...")
    if len(models) == 1 and not Path(models[0]).is_dir():
        raise UsageError("one model alone has nothing to merge with: give two or more.")
    return perform(study, subject, out_, **flags)


def _repeat(study: Study, results: Path, out: Path | None, flags: dict[str, Any]) -> int:
    """The settings and the models are those of the file."""
    if study != Diagnosis() or flags.pop("base", None) or flags.pop("pool", None) is not None:
        raise UsageError(
            f"{results} says itself what is looked at and how: give --base, --pool, --network and "
            "--data with models."
        )
    from ...report.files import read_made

    made, subject = read_made(results)
    if not isinstance(made, Diagnosis):
        raise UsageError(f"{results} is of a study: stockpot study {results} --out OUT repeats it.")
    return perform(made, subject, out, **flags)


diagnose = study_command(Diagnosis, _diagnose, optional_flag("out_", Folder, None))
