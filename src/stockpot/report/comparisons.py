"""The report of a comparison, and of a federated experiment: one HTML file beside its numbers."""

from dataclasses import replace
from pathlib import Path

from ..evaluation.results.comparison import Comparison
from ..federated.result import Outcome
from .attempts import attempts_csv, attempts_json
from .files import render, write


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
    `stockpot.report.files.write`.

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


def render_federation(outcome: Outcome, command: str = "") -> str:
    """The page of a federated experiment, as text; equal outcomes give equal text.

    Raises:
        OutputError: the page would be larger than 3 MB.
        ExtraError: without matplotlib, SciPy and Jinja2.
    """
    return render(outcome, command)


def write_federation(outcome: Outcome, out: Path, command: str = "") -> None:
    """Write report.html, results.csv and results.json into `out`, replacing those of before.

    Raises:
        OutputError: where a file cannot be written, or the page would be larger than 3 MB.
        ExtraError: without matplotlib, SciPy and Jinja2.
    """
    write(outcome, out, command)
