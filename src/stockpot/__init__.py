"""stockpot: merge neural networks by their weights, and see what it bought."""

import logging
import typing as _typing

from .errors import CheckpointError as CheckpointError
from .errors import ExtraError as ExtraError
from .errors import FieldError as FieldError
from .errors import MergeError as MergeError
from .errors import NonFiniteError as NonFiniteError
from .errors import OutputError as OutputError
from .errors import StockpotError as StockpotError
from .lazy import lazy_names as _lazy_names

if _typing.TYPE_CHECKING:
    from .engine.merge import Merged as Merged
    from .engine.merge import merge as merge
    from .engine.merge import merge_to as merge_to
    from .engine.merge import run_recipe as run_recipe
    from .engine.options import Options as Options
    from .engine.verify import Verified as Verified
    from .engine.verify import verify as verify
    from .evaluation.contests.models import compare as compare
    from .evaluation.results.comparison import Comparison as Comparison
    from .networks import reestimate_batch_norm as reestimate_batch_norm
    from .recipes.reading.recipe import Recipe as Recipe
    from .recipes.reading.recipe import parse_recipe as parse_recipe
    from .recipes.reading.recipe import read_recipe as read_recipe
    from .studies.diagnosis import diagnose as diagnose
    from .training.jobs.search import SearchResult as SearchResult
    from .training.jobs.search import search as search
    from .views.inspection import Inspection as Inspection
    from .views.inspection import inspect as inspect

__all__ = [
    "CheckpointError",
    "Comparison",
    "ExtraError",
    "FieldError",
    "Inspection",
    "MergeError",
    "Merged",
    "NonFiniteError",
    "Options",
    "OutputError",
    "Recipe",
    "SearchResult",
    "StockpotError",
    "Verified",
    "compare",
    "diagnose",
    "inspect",
    "merge",
    "merge_to",
    "parse_recipe",
    "read_recipe",
    "reestimate_batch_norm",
    "run_recipe",
    "search",
    "verify",
]

logging.getLogger("stockpot").addHandler(logging.NullHandler())

__getattr__, _later = _lazy_names(
    __name__,
    {
        "engine.merge": "Merged merge merge_to run_recipe",
        "engine.options": "Options",
        "engine.verify": "Verified verify",
        "evaluation.contests.models": "compare",
        "evaluation.results.comparison": "Comparison",
        "networks": "reestimate_batch_norm",
        "recipes.reading.recipe": "Recipe parse_recipe read_recipe",
        "studies.diagnosis": "diagnose",
        "training.jobs.search": "SearchResult search",
        "views.inspection": "Inspection inspect",
    },
)
"""Names that are imported when they are first asked for: merging starts without the lab, and the
command line is there to answer Ctrl-C before torch is."""


def __dir__() -> list[str]:
    return sorted({*globals(), *_later()})
