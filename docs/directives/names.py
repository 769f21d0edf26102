"""`{every-name} MODULE`: whatever a module has, so that a page lists nothing by hand."""

from collections.abc import Iterator
from importlib import import_module
from inspect import isclass, isroutine
from pkgutil import walk_packages
from types import ModuleType

from sphinx.util.docutils import SphinxDirective

import stockpot


class EveryName(SphinxDirective):
    """Documents each name of a module, or each class of its tuple (`stockpot.methods.METHODS`)."""

    required_arguments = 1

    def run(self):
        """The documentation of each name, in the module's order."""
        return _documented(self, listed(self.arguments[0]))


class EveryFigure(SphinxDirective):
    """Documents each function of every module that is called `figures`."""

    def run(self):
        """The functions, module by module."""
        modules = walk_packages(stockpot.__path__, "stockpot.")
        names = sorted(m.name for m in modules if m.name.endswith("figures"))
        return _documented(self, (entry for name in names for entry in listed(name)))


def _documented(directive: SphinxDirective, entries):
    lines = [
        line
        for kind, name, options in entries
        for line in (f".. {kind}:: {name}", *(f"   {option}" for option in options), "")
    ]
    return directive.parse_text_to_nodes("\n".join(["```{eval-rst}", *lines, "```"]))


def listed(path: str) -> Iterator[tuple[str, str, list[str]]]:
    """Of each name the directive that documents it, its whole name, and options."""
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
            continue  # the page of stockpot has it
        if not hasattr(module, "__path__") and getattr(value, "__module__", "") != path:
            continue  # what the module itself imports, and its constants
        if isclass(value):
            yield "autoclass", f"{path}.{name}", [":members:"]
        elif isroutine(value):
            yield "autofunction", f"{path}.{name}", []
        else:
            yield "autodata", f"{path}.{name}", [":no-value:"]
