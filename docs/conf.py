"""Sphinx configuration: MyST pages, and what the package says of itself."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from directives.commands import EveryCommand
from directives.docstrings import as_restructured_text
from directives.gallery import Gallery
from directives.headings import check_headings
from directives.names import EveryFigure, EveryName

project = "stockpot"
extensions = ["myst_parser", "sphinx.ext.autodoc"]
html_theme = "furo"
html_title = "stockpot"
html_static_path = ["static"]
html_css_files = ["site.css"]
html_show_sourcelink = False
html_show_copyright = False
smartquotes = False
exclude_patterns = ["_build", "directives"]
myst_enable_extensions = ["deflist"]
myst_heading_anchors = 4
autodoc_member_order = "bysource"
autodoc_typehints = "none"
add_module_names = False
toc_object_entries_show_parents = "hide"


def _docstring(_app, _what, _name, _object, _options, lines):
    lines[:] = as_restructured_text(lines)


def setup(app):
    """Called by Sphinx."""
    app.add_directive("every-name", EveryName)
    app.add_directive("every-figure", EveryFigure)
    app.add_directive("every-command", EveryCommand)
    app.add_directive("gallery", Gallery)
    app.connect("autodoc-process-docstring", _docstring)
    app.connect("build-finished", check_headings)
