"""`{gallery} NAME`: figures of a kept result, drawn by `stockpot.report` as the site is built."""

import re
import shutil
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import ClassVar

from docutils import nodes
from docutils.parsers.rst import directives
from sphinx.util.docutils import SphinxDirective

from stockpot.report import rebuild

KEPT = Path(__file__).parents[2] / "examples" / "results" / "kept"
_FIGURE = re.compile(r"<figure.*?</figure>", re.S)
_COMMAND = re.compile(r"<code.*?</code>", re.S)
_NAMES = re.compile(r"""(\bid="|\baria-\w+="|\bhref="#|url\(#)""")


class Gallery(SphinxDirective):
    """The first figures of a report, and a link to all of it."""

    required_arguments = 1
    option_spec: ClassVar = {"figures": directives.positive_int}

    def run(self):
        """The figures as they stand in the report, and where it is."""
        name = self.arguments[0]
        page = report_of(name)
        self.env.note_dependency(str(KEPT / name / "results.json"))
        place = Path(self.env.app.outdir) / "reports" / f"{name}.html"
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(page, encoding="utf-8")
        up = "../" * self.env.docname.count("/")
        shown = figures_of(page, name)[: self.options.get("figures", 2)]
        html = f'<div class="gallery">{"".join(shown)}</div>'
        link = f'<p><a href="{up}reports/{name}.html">The whole report</a></p>'
        return [nodes.raw("", html + link, format="html")]


@cache
def report_of(name: str) -> str:
    """The page of a kept result, as `stockpot report` makes it."""
    with TemporaryDirectory() as folder:
        shutil.copy(KEPT / name / "results.json", folder)
        return rebuild(Path(folder)).read_text(encoding="utf-8")


def figures_of(page: str, name: str) -> list[str]:
    """Its figures, under names that no figure of another report has; the page has the command."""
    figures = (_COMMAND.sub("", figure) for figure in _FIGURE.findall(page))
    return [_NAMES.sub(rf"\g<1>{name}-", figure) for figure in figures]
