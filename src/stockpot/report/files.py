"""From a result to its files, and from its file to the page again.

A page is always made from what results.json says, so that it can be made again from it, to the same
bytes, without models and without data.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, Protocol, cast

from ..errors import CheckpointError, StockpotError
from ..pages.page import fill, write_files
from ..values.reading import read_plain
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
        study, subject: of a study, its value and what it looked at: what repeats it.
    """

    kind: str
    command: str
    stockpot: str
    study: Mapping[str, Any] | None = None
    subject: Mapping[str, Any] | None = None


class Result(Protocol):
    """What can be written: a comparison, a federated outcome, a study."""

    def to_csv(self) -> str:
        """The main table."""
        ...

    def as_dict(self) -> dict[str, Any]:
        """Everything, as JSON has it."""
        ...


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
    text = _results(result, command, told or {})
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
    try:
        page = _page(text, str(file))
    except (ValueError, LookupError) as error:
        raise CheckpointError(
            f"{file} is damaged: what it says does not go together ({error}). Run the command that "
            "made it again."
        ) from error
    write_files(file.parent, {PAGE: page})
    return file.parent / PAGE


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
        return read_plain(Head, told[_HEAD]), told
    except (KeyError, TypeError, StockpotError):
        raise CheckpointError(
            f"{file} does not say what kind of results it has: it is of an older stockpot, or of "
            "another program. Run the command that made it again."
        ) from None


def _page(text: str, file: str) -> str:
    """The page of what a results file says."""
    head, told = _parse(text, file)
    name = head.kind
    if name not in KINDS:
        raise CheckpointError(
            f"{file} has results of the kind '{name[:80]}', by stockpot {head.stockpot}; this is "
            f"stockpot {version('stockpot')} and knows {', '.join(KINDS)}."
        )
    kind = KINDS[name]
    try:
        result = read_plain(kind.result, told)
    except StockpotError as error:
        raise CheckpointError(
            f"{file} does not fit what stockpot {version('stockpot')} knows of {name} (it is by "
            f"stockpot {head.stockpot}): {error}. Run the command that made it again."
        ) from None
    return fill(kind.page(result), head.command)
