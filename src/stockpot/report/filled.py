"""One HTML file that needs no network and no script: what every page has, and writing it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..errors import OutputError
from ..extras import optional
from .drawings import Drawing
from .tables import Table
from .units import readable


@dataclass(frozen=True, slots=True)
class Section:
    """A heading, what stands under it, and tables that are folded away."""

    name: str
    heading: str
    tables: tuple[Table, ...] = ()
    folded: tuple[Table, ...] = ()


def fill_page(
    *,
    title: str,
    sentences: Sequence[str],
    sections: Sequence[Section],
    drawings: Sequence[Drawing],
    facts: Sequence[tuple[str, str]],
    measured: Sequence[str],
    choice: str = "",
) -> str:
    """The page as text: a verdict, sections with tables, figures, facts. Names are escaped.

    Raises:
        ExtraError: without Jinja2.
    """
    jinja2 = optional("jinja2")
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("page.html.j2").render(
        title=readable(title),
        choice=choice,
        sentences=[readable(one) for one in sentences],
        sections={one.name: one for one in sections if one.tables or one.folded},
        drawings=drawings,
        facts=[(readable(name), readable(fact)) for name, fact in facts],
        measured=[readable(one) for one in measured],
    )


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
