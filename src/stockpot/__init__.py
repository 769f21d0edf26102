"""stockpot: merge neural networks by their weights, and see what it bought."""

import logging
from typing import TYPE_CHECKING

from .engine.merge import Merged as Merged
from .engine.merge import merge as merge
from .engine.merge import merge_to as merge_to
from .engine.merge import run_recipe as run_recipe
from .errors import StockpotError as StockpotError

if TYPE_CHECKING:
    from .evaluation.given import compare as compare

logging.getLogger("stockpot").addHandler(logging.NullHandler())


def __getattr__(name: str) -> object:
    """Import the lab when it is first asked for; a merge starts without it."""
    if name == "compare":
        from .evaluation.given import compare

        return compare
    raise AttributeError(f"module 'stockpot' has no attribute '{name}'")
