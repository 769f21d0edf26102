"""Whether each chapter is on the site: Sphinx's own pages overwrite what is called like them."""

import re
from pathlib import Path

from sphinx.errors import ExtensionError


def check_headings(app, exception):
    """Raise where a chapter's first heading is not in its page."""
    if exception or app.builder.name != "html":
        return
    lost = [
        name
        for name in sorted(app.env.found_docs)
        if first_heading(Path(app.env.doc2path(name))) not in _headings(app.builder, name)
    ]
    if lost:
        raise ExtensionError(f"these chapters are not on their pages: {', '.join(lost)}.")


def first_heading(page: Path) -> str:
    """The words of a chapter's first heading."""
    (words,) = re.findall(r"\A(?:\(\S+\)=\s*)?# (.+)", page.read_text(encoding="utf-8"))
    return words.replace("`", "").strip()


def _headings(builder, name: str) -> str:
    page = Path(builder.get_outfilename(name)).read_text(encoding="utf-8")
    return " ".join(re.sub(r"<[^>]+>", "", h) for h in re.findall(r"<h1>(.*?)</h1>", page, re.S))
