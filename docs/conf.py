"""Sphinx configuration: MyST pages, and docstrings as `stockpot methods` prints them."""

from importlib import import_module
from inspect import isclass, isroutine
from types import ModuleType

from sphinx.util.docutils import SphinxDirective

import stockpot

project = "stockpot"
extensions = ["myst_parser", "sphinx.ext.autodoc"]
html_theme = "furo"
html_title = "stockpot"
exclude_patterns = ["_build"]
myst_heading_anchors = 3
autodoc_member_order = "bysource"
autodoc_typehints = "none"


class EveryName(SphinxDirective):
    """Documents whatever a module or a tuple of it has, such as `stockpot.studies`.

    So a page lists nothing by hand: a name of `__init__.py`, or a class of an explicit tuple such
    as `stockpot.methods.METHODS`, is on it once it is in the package.
    """

    required_arguments = 1

    def run(self):
        """The documentation of each name, in the module's order."""
        lines = [
            line
            for kind, name, options in _listed(self.arguments[0])
            for line in (f".. {kind}:: {name}", *(f"   {option}" for option in options), "")
        ]
        return self.parse_text_to_nodes("\n".join(["```{eval-rst}", *lines, "```"]))


def _listed(path):
    try:
        module = import_module(path)
    except ModuleNotFoundError:
        above, _, name = path.rpartition(".")
        for cls in getattr(import_module(above), name):
            yield "autoclass", f"{cls.__module__}.{cls.__name__}", [":no-members:"]
        return
    for name in dir(module):
        value = getattr(module, name)
        if name.startswith("_") or isinstance(value, ModuleType):
            continue
        if path != "stockpot" and getattr(stockpot, name, None) is value:
            continue  # the page has it from there
        if not hasattr(module, "__path__") and getattr(value, "__module__", "") != path:
            continue  # what the module itself imports, and its constants
        if isclass(value):
            yield "autoclass", f"{path}.{name}", [":members:"]
        elif isroutine(value):
            yield "autofunction", f"{path}.{name}", []
        else:
            yield "autodata", f"{path}.{name}", [":no-value:"]


def _as_written(_app, _what, _name, _object, _options, lines):
    """Formulas and examples are laid out by hand: show a docstring as it stands."""
    if any(line.strip() for line in lines):
        lines[:] = [".. code-block:: text", "", *(f"    {line}" for line in lines), ""]


def setup(app):
    """Called by Sphinx."""
    app.add_directive("every-name", EveryName)
    app.connect("autodoc-process-docstring", _as_written)
