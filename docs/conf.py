"""Sphinx configuration: MyST pages, and docstrings as `stockpot methods` prints them."""

project = "stockpot"
extensions = ["myst_parser", "sphinx.ext.autodoc"]
html_theme = "furo"
html_title = "stockpot"
exclude_patterns = ["_build"]
myst_heading_anchors = 3
autodoc_member_order = "bysource"
autodoc_typehints = "none"


def _as_written(_app, _what, _name, _object, _options, lines):
    """Formulas and examples are laid out by hand: show a docstring as it stands."""
    lines[:] = ["::", "", *(f"    {line}" for line in lines), ""]


def setup(app):
    """Called by Sphinx."""
    app.connect("autodoc-process-docstring", _as_written)
