"""One HTML file that needs no network and no script: what every page has, and writing it."""

import base64
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ..errors import OutputError
from ..libraries import optional
from .drawing import Drawing
from .tables import Table
from .units import readable, shown

LARGEST = 3_000_000
"""Bytes of a page."""
_ROWS = (2000, 500, 100, 20)
"""Rows of a table, the first number with which the page is small enough."""
_WORDS = 3000
"""Characters of a sentence or a fact."""
_LONGEST = 240
"""Characters of the command under a figure; the facts have all of it."""


@dataclass(frozen=True, slots=True)
class Section:
    """A heading, what stands under it, and tables that are folded away."""

    name: str
    heading: str
    tables: tuple[Table, ...] = ()
    folded: tuple[Table, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """What a page says, before it is text.

    Attributes:
        title: the question.
        choice: a verdict in a few words, or ''.
        sentences: what was found.
        sections: of tables; their names are among those of page.html.j2.
        drawings: the figures.
        facts: about the run.
        measured: how, in sentences.
    """

    title: str
    sentences: Sequence[str]
    sections: Sequence[Section]
    drawings: Sequence[Drawing]
    facts: Sequence[tuple[str, str]]
    measured: Sequence[str]
    choice: str = ""


def fill(page: Page, command: str = "") -> str:
    """The page as text, at most 3 MB: names are escaped, marks that cannot be seen are shown.

    Where the page would be too large, tables are cut, then figures left out, and that is said.

    Args:
        page: what it says.
        command: what was run, for the captions and the facts; '' where it was no command.

    Raises:
        OutputError: it is too large even so.
        ExtraError: without Jinja2.
    """
    page, text = _without_endless_words(page), ""
    for rows in _ROWS:
        cut = replace(page, sections=[_cut(one, rows) for one in page.sections])
        text = _filled(cut, command)
        if _size(text) <= LARGEST:
            return text
    while page.drawings and _size(text) > LARGEST:
        page = _without_largest(page)
        cut = replace(page, sections=[_cut(one, _ROWS[-1]) for one in page.sections])
        text = _filled(cut, command)
    if _size(text) > LARGEST:
        raise OutputError(
            f"the page would have {_size(text) / 1e6:.1f} MB and may have {LARGEST / 1e6:g}: it "
            "has too many tables, sentences or facts."
        )
    return text


def _size(text: str) -> int:
    return len(text.encode("utf-8", "backslashreplace"))


def _without_largest(page: Page) -> Page:
    """Without the figure that takes most room, which is said."""
    largest = max(page.drawings, key=lambda one: len(one.svg))
    said = f"Left out, because the page would be too large: the figure '{largest.title}'."
    kept = [one for one in page.drawings if one is not largest]
    return replace(page, drawings=kept, measured=[*page.measured, said])


def _without_endless_words(page: Page) -> Page:
    def short(text: str) -> str:
        return text if len(text) <= _WORDS else f"{text[:_WORDS]} … (results.json has all)"

    return replace(
        page,
        title=short(page.title),
        sentences=list(map(short, page.sentences)),
        facts=[(short(name), short(fact)) for name, fact in page.facts],
    )


def _filled(page: Page, command: str) -> str:
    jinja2 = optional("jinja2")
    folder = Path(__file__).parent
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(folder),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_visible,
    )
    script = (folder / "page.js").read_text(encoding="utf-8")
    command = readable(command)
    return environment.get_template("page.html.j2").render(
        title=page.title,
        choice=page.choice,
        sentences=page.sentences,
        sections={one.name: one for one in page.sections if one.tables or one.folded},
        drawings=page.drawings,
        facts=[*page.facts, *([("command", command)] if command else [])],
        measured=page.measured,
        command=command if len(command) <= _LONGEST else f"{command[:_LONGEST]}…",
        style=_as_it_is((folder / "page.css").read_text(encoding="utf-8")),
        script=_as_it_is(script),
        digest=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
    )


def _visible(value: object) -> object:
    """Whatever a template shows; what is escaped already stays as it is."""
    return shown(value) if type(value) is str else value


def _as_it_is(text: str) -> Any:
    """Our own text, which is not escaped."""
    return optional("markupsafe").Markup(text)


def _cut(section: Section, rows: int) -> Section:
    def short(table: Table) -> Table:
        count = len(table.rows)
        if count <= rows:
            return table
        said = f"{table.caption} The first {rows:,} of {count:,} rows; results.json has all."
        return replace(table, rows=table.rows[:rows], caption=said)

    tables, folded = (tuple(map(short, some)) for some in (section.tables, section.folded))
    return replace(section, tables=tables, folded=folded)


def write_files(out: Path, files: Mapping[str, str]) -> None:
    """Write texts into a folder, each beside its place and then renamed into it.

    Raises:
        OutputError: where one cannot be written.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
        for name, text in files.items():
            _write(out / name, text)
    except OSError as error:
        raise OutputError(f"cannot write the report into {out}: {error.strerror}.") from None


def _write(path: Path, text: str) -> None:
    """Write beside `path`, then rename; whatever fails, nothing half-written stays."""
    partial = path.with_name(f"{path.name}.partial")
    try:
        partial.write_text(text, encoding="utf-8", errors="backslashreplace", newline="")
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
