"""The site: each chapter is on its page, and so is every command, public name and kept figure."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

import stockpot
from stockpot.cli.app import COMMANDS

ROOT = Path(__file__).parents[1]
RESERVED = ("search", "genindex", "py-modindex")


def test_no_chapter_is_called_as_a_page_that_sphinx_makes() -> None:
    chapters = {page.stem for page in (ROOT / "docs").glob("*.md")}
    assert chapters.isdisjoint(RESERVED)


def build(docs: Path, out: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "sphinx", "-W", "-q", "-b", "html", str(docs), str(out)]
    return subprocess.run(command, capture_output=True, text=True)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, built strictly: a link that leads nowhere is an error."""
    for library in ("sphinx", "myst_parser", "furo"):
        pytest.importorskip(library, reason=f"{library} builds the site and is not installed")
    out = tmp_path_factory.mktemp("site")
    done = build(ROOT / "docs", out)
    assert done.returncode == 0, done.stderr
    return out


def text_of(site: Path, page: str) -> str:
    return (site / f"{page}.html").read_text(encoding="utf-8")


@pytest.mark.full
def test_a_chapter_that_sphinx_overwrites_is_noticed(tmp_path: Path, site: Path) -> None:
    (tmp_path / "conf.py").write_text(
        f"import sys; sys.path.insert(0, {str(ROOT / 'docs')!r})\n"
        "from directives.headings import check_headings\n"
        "extensions, html_theme = ['myst_parser'], 'furo'\n"
        "setup = lambda app: app.connect('build-finished', check_headings)\n"
    )
    (tmp_path / "index.md").write_text("# Index\n\n```{toctree}\nsearch\n```\n")
    (tmp_path / "search.md").write_text("# Searching weights\n")
    done = build(tmp_path, tmp_path / "out")
    assert done.returncode != 0
    assert "these chapters are not on their pages: search" in done.stderr


@pytest.mark.full
def test_every_command_and_public_name_is_there(site: Path) -> None:
    commands, api = text_of(site, "commands"), text_of(site, "api")
    for command in COMMANDS:
        assert f">stockpot {command.name}<" in re.sub(r"</?span[^>]*>", "", commands)
    assert " -m sphinx" not in commands
    for name in stockpot.__all__:
        assert f'id="stockpot.{name}"' in api, name


@pytest.mark.full
def test_a_docstring_is_prose_with_its_formula_and_a_list_of_attributes(site: Path) -> None:
    (ties,) = re.findall(
        r'<dt[^>]* id="stockpot\.methods\.ties\.Ties">.*?(?=<dl class="py class">)',
        text_of(site, "methods"),
        re.S,
    )
    plain = re.sub(r"</?span[^>]*>", "", ties)
    assert "<pre>δ_k = w_k · trim(θ_k - θ_0, density_k)" in plain
    assert re.search(r"<dt><code[^>]*>density</code></dt>\s*<dd><p>fraction of each task", plain)
    assert "<p>Trim small changes, elect a sign per parameter, merge those that agree.</p>" in plain


@pytest.mark.full
def test_search_finds_a_word_and_the_gallery_has_figures(site: Path) -> None:
    index = (site / "searchindex.js").read_text(encoding="utf-8")
    assert "simplex" in index
    assert "searching" in index
    kept = sorted(path.parent.name for path in (ROOT / "examples/results/kept").glob("*/*.json"))
    gallery = text_of(site, "gallery")
    for name in kept:
        assert f'href="reports/{name}.html"' in gallery
        assert f'aria-labelledby="{name}-' in gallery
        assert (site / "reports" / f"{name}.html").is_file()
