"""The merge methods: one paper, one file, one frozen value; METHODS is in teaching order."""

from ..core import Method
from .average import Average as Average
from .consensus import Consensus as Consensus
from .dare import Dare as Dare
from .interpolate import Interpolate as Interpolate
from .median import Median as Median
from .model_stock import ModelStock as ModelStock
from .slerp import Slerp as Slerp
from .task_arithmetic import TaskArithmetic as TaskArithmetic
from .ties import Ties as Ties
from .weave import Weave as Weave

METHODS: tuple[type[Method], ...] = (
    Average,
    Interpolate,
    Slerp,
    Median,
    TaskArithmetic,
    Ties,
    Dare,
    ModelStock,
    Consensus,
    Weave,
)
