"""The one place that prints: results on stdout, everything about the run on stderr."""

import json
import sys
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from time import monotonic
from typing import Any

from rich.console import Console, ConsoleOptions, RenderableType
from rich.progress import (
    BarColumn,
    TextColumn,
    TimeRemainingColumn,
)
from rich.progress import (
    Progress as Bar,
)
from rich.segment import Segment
from rich.table import Table

from ..texts import visible, visible_json
from ..values.result import Progress


class Screen(Console):
    """A console on which every character is seen, whoever it comes from: names are no commands."""

    def render(
        self, renderable: RenderableType, options: ConsoleOptions | None = None
    ) -> Iterator[Segment]:
        """What `rich` shows, of which only its own escapes are sent."""
        for segment in super().render(renderable, options):
            text = segment.text
            yield segment if segment.control else segment._replace(text=visible(text))


# Where no terminal sets a width, tables are as wide as they need to be: what reads them is grep.
_PLAIN: Mapping[str, Any] = {"soft_wrap": True, "highlight": False, "markup": False, "emoji": False}
out = Screen(width=None if sys.stdout.isatty() else 1000, **_PLAIN)
_err = Screen(stderr=True, **_PLAIN)

A_MINUTE = 60.0


def say(text: str) -> None:
    """A line of the result."""
    out.print(text)


_quiet: ContextVar[bool] = ContextVar("quiet", default=False)


def keep_to_results(*, quiet: bool) -> None:
    """Whether notes are left out from here on."""
    _quiet.set(quiet)


def note(text: str) -> None:
    """A line about the run, where it is not quiet."""
    if _quiet.get():
        return
    _err.print(f"note: {visible(text, keep='')}")


def complain(text: str, *, as_json: bool) -> None:
    """An error: on stderr in words, and on stdout as the one JSON object where that was asked."""
    if as_json:
        print_json({"error": text})
    _err.print(f"stockpot: {text}")


def print_json(value: Mapping[str, object]) -> None:
    """One JSON object on stdout."""
    sys.stdout.write(visible_json(json.dumps(value, ensure_ascii=False)) + "\n")
    sys.stdout.flush()


def print_table(title: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """A table on stdout; columns of numbers are right-aligned."""
    table = Table(title=title or None, title_justify="left", box=None, pad_edge=False)
    for i, column in enumerate(columns):
        numeric = bool(rows) and all(isinstance(row[i], int | float) for row in rows)
        table.add_column(column, justify="right" if numeric else "left", overflow="fold")
    for row in rows:
        table.add_row(*(_cell(value) for value in row))
    out.print(table)


def _cell(value: object) -> str:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return visible(str(value), keep="")
    return f"{value:,}" if isinstance(value, int) else f"{value:.4g}"


def _a_line_a_minute() -> Progress:
    said = monotonic()

    def tell(what: str, done: float) -> None:
        nonlocal said
        if monotonic() - said >= A_MINUTE:
            said = monotonic()
            _err.print(f"{done:4.0%} {visible(what, keep='')}")

    return tell


@contextmanager
def steps(*, quiet: bool) -> Generator[Progress | None]:
    """What is being done and how much of the whole is behind, on stderr.

    A bar in a terminal; elsewhere, for log files, a line a minute.
    """
    if quiet:
        yield None
        return
    if not _err.is_terminal:
        yield _a_line_a_minute()
        return
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), TimeRemainingColumn())
    with Bar(*columns, console=_err, transient=True) as bar:
        task = bar.add_task("", total=1.0)
        yield lambda what, done: bar.update(task, description=what, completed=done)
