"""stockpot: merge neural networks by their weights, and see what it bought."""

import logging
from importlib import import_module as _import_module
from typing import TYPE_CHECKING

from .errors import CheckpointError as CheckpointError
from .errors import ExtraError as ExtraError
from .errors import FieldError as FieldError
from .errors import MergeError as MergeError
from .errors import NonFiniteError as NonFiniteError
from .errors import OutputError as OutputError
from .errors import StockpotError as StockpotError

if TYPE_CHECKING:
    from .engine.merge import Merged as Merged
    from .engine.merge import merge as merge
    from .engine.merge import merge_to as merge_to
    from .engine.merge import run_recipe as run_recipe
    from .engine.options import Options as Options
    from .engine.verify import Verified as Verified
    from .engine.verify import verify as verify
    from .evaluation.contests.models import compare as compare
    from .evaluation.results.comparison import Comparison as Comparison
    from .recipes.reading.recipe import Recipe as Recipe
    from .recipes.reading.recipe import parse_recipe as parse_recipe
    from .recipes.reading.recipe import read_recipe as read_recipe
    from .studies.diagnosis import diagnose as diagnose
    from .training.jobs.search import SearchResult as SearchResult
    from .training.jobs.search import search as search
    from .views.inspection import Inspection as Inspection
    from .views.inspection import inspect as inspect

logging.getLogger("stockpot").addHandler(logging.NullHandler())

_WHERE = {
    "Comparison": "evaluation.results.comparison",
    "Inspection": "views.inspection",
    "Merged": "engine.merge",
    "Options": "engine.options",
    "Recipe": "recipes.reading.recipe",
    "SearchResult": "training.jobs.search",
    "Verified": "engine.verify",
    "compare": "evaluation.contests.models",
    "diagnose": "studies.diagnosis",
    "inspect": "views.inspection",
    "merge": "engine.merge",
    "merge_to": "engine.merge",
    "parse_recipe": "recipes.reading.recipe",
    "read_recipe": "recipes.reading.recipe",
    "run_recipe": "engine.merge",
    "search": "training.jobs.search",
    "verify": "engine.verify",
}
"""Names that are imported when they are first asked for: merging starts without the lab, and the
command line is there to answer Ctrl-C before torch is."""


def __getattr__(name: str) -> object:
    """Import a public name when it is first asked for."""
    if name in _WHERE:
        value = getattr(_import_module(f".{_WHERE[name]}", __name__), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module 'stockpot' has no attribute '{name}'")


def __dir__() -> list[str]:
    return sorted({*globals(), *_WHERE})
