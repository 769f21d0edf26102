"""stockpot: merge neural networks by their weights, and see what it bought."""

import logging
from importlib import import_module
from typing import TYPE_CHECKING

from .errors import StockpotError as StockpotError

if TYPE_CHECKING:
    from .engine.merge import Merged as Merged
    from .engine.merge import merge as merge
    from .engine.merge import merge_to as merge_to
    from .engine.merge import run_recipe as run_recipe
    from .evaluation.contests.models import compare as compare

logging.getLogger("stockpot").addHandler(logging.NullHandler())

_WHERE = {
    "Merged": "engine.merge",
    "merge": "engine.merge",
    "merge_to": "engine.merge",
    "run_recipe": "engine.merge",
    "compare": "evaluation.contests.models",
}
"""Names that are imported when they are first asked for: merging starts without the lab, and the
command line is there to answer Ctrl-C before torch is."""


def __getattr__(name: str) -> object:
    """Import a public name when it is first asked for."""
    if name in _WHERE:
        found = getattr(import_module(f".{_WHERE[name]}", __name__), name)
        globals()[name] = found
        return found
    raise AttributeError(f"module 'stockpot' has no attribute '{name}'")


def __dir__() -> list[str]:
    return sorted({*globals(), *_WHERE})
