"""From a result to its files, and from its file to the page again.

A page is always made from what results.json says, so that it can be made again from it, to the same
bytes, without models and without data.
"""

import json
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import date
from importlib.metadata import version
from pathlib import Path
from typing import Any, cast

from ..errors import CheckpointError, OutputError, StockpotError
from ..evaluation.results.comparison import Comparison
from ..pages.page import Page, fill, write_files
from ..pages.units import readable
from ..studies import FAMILY
from ..studies.study import Study, StudyResult, Subject
from ..values.family import plain_value
from ..values.from_plain_data import read, read_result
from ..values.result import Result
from .attempts import attempts_csv, attempts_json
from .kinds import KINDS

RESULTS, PAGE = "results.json", "report.html"
_HEAD = "report"
"""The key of what kind a results file is of, and of the command that made it."""


@dataclass(frozen=True, slots=True)
class Head:
    """What a results file says of itself.

    Attributes:
        kind: of result, as in `KINDS`.
        command: that was run; '' where it was no command.
        stockpot: the version that wrote it.
        date: of the day when the run ended; '' in files of earlier versions.
        study, subject: of a study, its value and what it looked at: what repeats it.
    """

    kind: str
    command: str
    stockpot: str
    date: str = ""
    study: Mapping[str, Any] | None = None
    subject: Mapping[str, Any] | None = None


def render(result: Result, command: str = "") -> str:
    """The page of any result, as text; equal results give equal text.

    Args:
        result: of a kind in `KINDS`.
        command: what was run, for captions; '' where it was no command.

    Raises:
        OutputError: the page would be larger than 3 MB.
        ExtraError: without matplotlib and Jinja2.
    """
    return _page(_results(result, command, {}), PAGE)


def write(
    result: Result,
    out: Path,
    command: str = "",
    more: Mapping[str, str] | None = None,
    told: Mapping[str, object] | None = None,
) -> None:
    """Write report.html, results.csv and results.json into `out`, replacing those of before.

    Each is written beside its place and renamed into it, so none is ever half there; all are
    rendered before the first is written. In results.json a number that is not finite is null,
    because JSON has no such number; results.csv has it as it is.

    Args:
        result: what to write.
        out: folder; made where it is missing.
        command: what was run, for captions; '' where it was no command.
        more: other files, name to text.
        told: what else results.json says under its head.

    Raises:
        OutputError: where a file cannot be written, or the page would be larger than 3 MB.
        ExtraError: without matplotlib and Jinja2.
    """
    text = _results(result, command, {"date": date.today().isoformat(), **(told or {})})
    files = {"results.csv": result.to_csv(), RESULTS: text, PAGE: _page(text, RESULTS)}
    write_files(out, {**files, **(more or {})})


def rebuild(run: Path) -> Path:
    """Make report.html of a run's results.json again, the same bytes; returns where it is.

    Args:
        run: the folder of a run, or its results.json.

    Raises:
        CheckpointError: it is no results file, or is of another version, or damaged.
        OutputError: the page cannot be written.
        ExtraError: without matplotlib and Jinja2.
    """
    file = run / RESULTS if run.is_dir() else run
    text = _text(file)
    with _damage(file):
        page = _page(text, str(file))
    write_files(file.parent, {PAGE: page})
    return file.parent / PAGE


def read_page(run: Path) -> Page:
    """What the page of a run says, as a value.

    Args:
        run: the folder of a run, or its results.json.

    Raises:
        CheckpointError: it is no results file, or is of another version, or damaged.
    """
    file = run / RESULTS if run.is_dir() else run
    text = _text(file)
    with _damage(file):
        return _said(text, str(file))[0]


@contextmanager
def _damage(file: Path) -> Generator[None]:
    """What is wrong with a file whose parts do not go together."""
    try:
        yield
    except (ValueError, LookupError) as error:
        raise CheckpointError(
            f"{file} is damaged: what it says does not go together ({error}). Run the command that "
            "made it again."
        ) from error


def _results(result: Result, command: str, told: Mapping[str, object]) -> str:
    kind = next(name for name, one in KINDS.items() if type(result) is one.result)
    head = {"kind": kind, "command": command, "stockpot": version("stockpot"), **told}
    return json.dumps({_HEAD: head, **result.as_dict()}, indent=1, allow_nan=False) + "\n"


def read_results(file: Path) -> Head:
    """The head of a results file.

    Raises:
        CheckpointError: it is no results file, or damaged.
    """
    return _parse(_text(file), str(file))[0]


def _text(file: Path) -> str:
    if file.name != RESULTS:
        raise CheckpointError(f"{file} is no run: give its folder, or the {RESULTS} in it.")
    try:
        return file.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise CheckpointError(
            f"{file.parent} has no {RESULTS}: give the folder of a comparison, a search, a "
            "federated run or a study that is finished."
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise CheckpointError(f"{file} cannot be read: {error}.") from None


def _parse(text: str, file: str) -> tuple[Head, dict[str, Any]]:
    """The head of a results file, and all of it."""
    try:
        told = cast(dict[str, Any], json.loads(text))
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"{file} is damaged: {error}.") from None
    try:
        return read_result(Head, told[_HEAD]), told
    except (KeyError, TypeError, StockpotError):
        raise CheckpointError(
            f"{file} does not say what kind of results it has: it is of an older stockpot, or of "
            "another program. Run the command that made it again."
        ) from None


def _page(text: str, file: str) -> str:
    """The page of what a results file says, as text."""
    page, command = _said(text, file)
    return fill(page, command)


def _said(text: str, file: str) -> tuple[Page, str]:
    """The page of what a results file says, and the command that made it."""
    head, told = _parse(text, file)
    name = head.kind
    if name not in KINDS:
        raise CheckpointError(
            f"{file} has results of the kind '{name[:80]}', by stockpot {head.stockpot}; this is "
            f"stockpot {version('stockpot')} and knows {', '.join(KINDS)}."
        )
    kind = KINDS[name]
    try:
        result = read_result(kind.result, told)
    except StockpotError as error:
        raise CheckpointError(
            f"{file} does not fit what stockpot {version('stockpot')} knows of {name} (it is by "
            f"stockpot {head.stockpot}): {error}. Run the command that made it again."
        ) from None
    page = kind.page(result)
    subject = " · ".join(filter(None, (page.subject, readable(head.date))))
    return replace(page, subject=subject), head.command


def render_page(comparison: Comparison, *, title: str | None = None, command: str = "") -> str:
    """The page of a comparison, as text: verdict, tables, figures, costs, facts.

    Names are escaped; parts for which the comparison has nothing are left out. Equal comparisons
    give equal text.

    Args:
        comparison: what to show.
        title: of the page; the comparison's own without one.
        command: what was run, for captions.

    Raises:
        StockpotError: where the comparison has no row of a whole split.
        OutputError: the page would be larger than 3 MB.
        ExtraError: without matplotlib and Jinja2.
    """
    titled = comparison if title is None else replace(comparison, title=title)
    return render(titled, command)


def write_report(comparison: Comparison, out: Path, command: str = "") -> None:
    """Write report.html, results.csv and results.json into `out`, replacing those of before.

    Where something was searched, trials.csv and trials.json have every attempt. See
    `write`.

    Args:
        comparison: what to write.
        out: folder; made where it is missing.
        command: what was run, for captions.

    Raises:
        OutputError: where a file cannot be written, or the page would be larger than 3 MB.
        StockpotError: where the comparison has no row of a whole split.
        ExtraError: without matplotlib and Jinja2.
    """
    more: dict[str, str] = {}
    if comparison.attempts:
        more["trials.csv"] = attempts_csv(comparison.attempts)
        more["trials.json"] = attempts_json(comparison)
    write(comparison, out, command, more)


def refuse_run(out: Path) -> None:
    """A run's folder has a report of its own, which a study must not replace.

    Raises:
        OutputError: `out` is one.
    """
    from ..training.jobs.folder import LISTING  # not for a page that is made again

    if (out / LISTING).exists():
        raise OutputError(
            f"{out} is the run of an experiment, with a report of its own: give the study a folder "
            f"in it, such as --out {out / 'study'}."
        )


def write_study(
    found: StudyResult, out: Path, command: str = "", made: tuple[Study, Subject] | None = None
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
        return FAMILY.read(head.study), read(Subject, head.subject)
    except StockpotError as error:
        raise CheckpointError(f"{file} cannot be repeated: {error}") from None
