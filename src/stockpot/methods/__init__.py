"""The merge methods: one paper, one file, one frozen value; METHODS is in teaching order."""

from ..core import Method
from .average import Average as Average
from .cart import Cart as Cart
from .cart_factors import CartFactors as CartFactors
from .consensus import Consensus as Consensus
from .dare import Dare as Dare
from .fisher import Fisher as Fisher
from .from_function import from_function as from_function
from .interpolate import Interpolate as Interpolate
from .iso_c import IsoC as IsoC
from .iso_cts import IsoCts as IsoCts
from .median import Median as Median
from .model_stock import ModelStock as ModelStock
from .slerp import Slerp as Slerp
from .task_arithmetic import TaskArithmetic as TaskArithmetic
from .ties import Ties as Ties
from .trimmed_mean import TrimmedMean as TrimmedMean
from .tsv_m import TsvM as TsvM
from .weave import Weave as Weave

METHODS: tuple[type[Method], ...] = (
    Average,
    Fisher,
    Interpolate,
    Slerp,
    Median,
    TrimmedMean,
    TaskArithmetic,
    Ties,
    Dare,
    ModelStock,
    Consensus,
    Weave,
    Cart,
    CartFactors,
    TsvM,
    IsoC,
    IsoCts,
)
