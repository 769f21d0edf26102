"""Sphinx configuration: MyST pages and the public docstrings."""

project = "stockpot"
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
html_theme = "furo"
html_title = "stockpot"
exclude_patterns = ["_build"]
myst_heading_anchors = 3
autodoc_member_order = "bysource"
autodoc_typehints = "none"
napoleon_custom_sections = [
    ("Needs", "notes_style"),
    ("Cost", "notes_style"),
    ("Deviations", "notes_style"),
    ("Source", "notes_style"),
]
nitpicky = False
