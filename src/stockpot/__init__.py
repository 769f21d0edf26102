"""stockpot: merge neural networks by their weights, and see what it bought."""

import logging

from .engine.merge import Merged as Merged
from .engine.merge import merge as merge
from .engine.merge import merge_to as merge_to
from .engine.merge import run_recipe as run_recipe
from .errors import StockpotError as StockpotError

logging.getLogger("stockpot").addHandler(logging.NullHandler())
