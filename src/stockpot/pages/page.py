"""One HTML file that needs no network and no script: what every page has, and writing it."""

import base64
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ..errors import OutputError
from ..libraries import optional
from .drawing import draw_panels
from .figures import Figure, nothing_to_see
from .svg import coarsen, inline_svg
from .tables import Table
from .units import readable, shown

LARGEST = 3_000_000
"""Bytes of a page."""
_ROWS = (2000, 500, 100, 20)
"""Rows of a table, the first number with which the page is small enough."""
_WORDS = 3000
"""Characters of a sentence or a fact."""
_MOST = 400_000
"""Characters of a figure whose marks are lines; those of larger ones are pixels."""
_WIDE = 430.0
"""Points; a wider figure has a row of its own."""


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
        subject: of which network and data, and when, in a line under the title.
        choice: a verdict in a few words, or ''.
        tested: what the verdict was tested on, or nothing.
        sentences: what was found.
        steps: what to do, in order, each with a command or ''.
        sections: of tables; their names are among those of page.html.j2.
        figures: what is drawn.
        facts: about the run.
        measured: how, in sentences.
        glossary: names and what they mean.
    """

    title: str
    sentences: Sequence[str]
    sections: Sequence[Section]
    figures: Sequence[Figure]
    facts: Sequence[tuple[str, str]]
    measured: Sequence[str]
    subject: str = ""
    choice: str = ""
    tested: Table | None = None
    steps: Sequence[tuple[str, str]] = ()
    glossary: Sequence[tuple[str, str]] = ()


@dataclass(frozen=True, slots=True)
class _Drawn:
    """A figure as a page has it.

    Attributes:
        panels: elements, beside or under each other.
        instead: what is said where there is nothing to see.
        wide: whether it needs a row of its own.
    """

    name: str
    title: str
    caption: str
    panels: tuple[str, ...]
    instead: str
    wide: bool


def _drawn(figure: Figure) -> _Drawn:
    instead, title, caption = nothing_to_see(figure), figure.title, figure.caption
    if instead:
        return _Drawn(figure.name, title, caption, (), instead, wide=False)
    axes = draw_panels(figure)
    texts = _inline(figure, axes, caption)
    if sum(map(len, texts)) > _MOST:
        for ax in axes:
            coarsen(ax)
        caption += " Its marks are pixels, because there are so many."
        texts = _inline(figure, axes, caption)
    wide = len(axes) > 1 or 72 * max(ax.figure.get_size_inches()[0] for ax in axes) > _WIDE
    return _Drawn(figure.name, title, caption, texts, "", wide=wide)


def _inline(figure: Figure, axes: Sequence[Any], caption: str) -> tuple[str, ...]:
    """Each panel as an element of the page, with a name of its own."""
    return tuple(
        inline_svg(
            ax,
            name=f"{figure.name}-{number}" if number else figure.name,
            title=": ".join(filter(None, (figure.title, panel.title))),
            description=caption,
        )
        for number, (ax, panel) in enumerate(zip(axes, figure.panels, strict=True))
    )


def fill(page: Page, command: str = "") -> str:
    """The page as text, at most 3 MB: names are escaped, marks that cannot be seen are shown.

    Where the page would be too large, tables are cut, then figures left out, and that is said.

    Args:
        page: what it says.
        command: what was run, which stands among the facts; '' where it was no command.

    Raises:
        OutputError: it is too large even so.
        ExtraError: without Jinja2 or matplotlib.
    """
    page, text = _without_endless_words(page), ""
    drawn = [_drawn(one) for one in page.figures]
    for rows in _ROWS:
        text = _filled(_cut_tables(page, rows), drawn, command)
        if _size(text) <= LARGEST:
            return text
    while drawn and _size(text) > LARGEST:
        largest = max(drawn, key=lambda one: sum(map(len, one.panels)))
        said = f"Left out, because the page would be too large: the figure '{largest.title}'."
        page = replace(page, measured=[*page.measured, said])
        drawn.remove(largest)
        text = _filled(_cut_tables(page, _ROWS[-1]), drawn, command)
    if _size(text) > LARGEST:
        raise OutputError(
            f"the page would have {_size(text) / 1e6:.1f} MB and may have {LARGEST / 1e6:g}: it "
            "has too many tables, sentences or facts."
        )
    return text


def _cut_tables(page: Page, rows: int) -> Page:
    return replace(page, sections=[_cut(one, rows) for one in page.sections])


def _size(text: str) -> int:
    return len(text.encode("utf-8", "backslashreplace"))


def _without_endless_words(page: Page) -> Page:
    def short(text: str) -> str:
        return text if len(text) <= _WORDS else f"{text[:_WORDS]} … (results.json has all)"

    return replace(
        page,
        title=short(page.title),
        sentences=list(map(short, page.sentences)),
        facts=[(short(name), short(fact)) for name, fact in page.facts],
    )


def _filled(page: Page, drawn: Sequence[_Drawn], command: str) -> str:
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
        subject=page.subject,
        choice=page.choice,
        tested=page.tested,
        sentences=page.sentences,
        steps=page.steps,
        sections={one.name: one for one in page.sections if one.tables or one.folded},
        drawings=drawn,
        facts=page.facts,
        glossary=page.glossary,
        measured=page.measured,
        command=command,
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
