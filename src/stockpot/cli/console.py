"""The one place that prints: results on stdout, everything about the run on stderr."""

import json
import os
import shutil
import sys
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from time import monotonic
from typing import Any, TextIO

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

from ..texts import visible, visible_json
from ..values.result import Progress
from .fitting import tables, wrapped

_UNBOUNDED = 1000
"""Where nothing sets a width, tables are as wide as they need to be: what reads them is grep."""


class Screen(Console):
    """A console on which every character is seen, whoever it comes from: names are no commands."""

    def render(
        self, renderable: RenderableType, options: ConsoleOptions | None = None
    ) -> Iterator[Segment]:
        """What `rich` shows, of which only its own escapes are sent."""
        for segment in super().render(renderable, options):
            text = segment.text
            yield segment if segment.control else segment._replace(text=visible(text))


_PLAIN: Mapping[str, Any] = {"soft_wrap": True, "highlight": False, "markup": False, "emoji": False}
out = Screen(width=_UNBOUNDED, **_PLAIN)
_err = Screen(stderr=True, **_PLAIN)

A_MINUTE = 60.0


def _width(stream: TextIO | None = None) -> int | None:
    """Columns of the terminal, or as many as COLUMNS says; None where what reads is a program."""
    terminal = (stream or sys.stdout).isatty()
    named = os.environ.get("COLUMNS", "")
    if named.isdecimal() and int(named[:9]):
        return int(named[:9])
    return shutil.get_terminal_size().columns if terminal else None


def say(text: str) -> None:
    """A line of the result."""
    out.print(wrapped(text, _width()))


_quiet: ContextVar[bool] = ContextVar("quiet", default=False)


def keep_to_results(*, quiet: bool) -> None:
    """Whether notes are left out from here on."""
    _quiet.set(quiet)


def note(text: str) -> None:
    """A line about the run, where it is not quiet."""
    if _quiet.get():
        return
    _err.print(_message(f"note: {visible(text, keep='')}"))


def complain(text: str, *, as_json: bool) -> None:
    """An error: on stderr in words, and on stdout as the one JSON object where that was asked."""
    if as_json:
        print_json({"error": text})
    _err.print(_message(f"stockpot: {text}"))


def _message(text: str) -> str:
    """As wide as the terminal is; in a log a message is one line."""
    return wrapped(text, _width(sys.stderr)) if sys.stderr.isatty() else text


def print_json(value: Mapping[str, object]) -> None:
    """One JSON object on stdout."""
    sys.stdout.write(visible_json(json.dumps(value, ensure_ascii=False)) + "\n")
    sys.stdout.flush()


def print_table(
    title: str, columns: Sequence[str], rows: Sequence[Sequence[object]], words: str = ""
) -> None:
    """A table on stdout under its title, and words that say what its columns are.

    Columns of numbers are right-aligned. What would be wider than the terminal is wrapped between
    words, then cut into tables below each other.
    """
    width = _width()
    if title:
        say(title)
    for i, table in enumerate(tables(columns, rows, width)):
        if i:
            say("")
        out.print(table, width=width)
    if words:
        say(words)


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
