"""Will it merge: what weights tell of it, and a forecast whose error is measured."""

from .forecast import Expected as Expected
from .forecast import Forecast as Forecast
from .methods import CANDIDATES as CANDIDATES
from .methods import Candidate as Candidate
from .methods import candidates as candidates
from .table import MergeRow as MergeRow
from .table import PoolRow as PoolRow
from .table import shipped as shipped
from .traits import Traits as Traits
from .traits import traits_of as traits_of
from .validation import Validation as Validation
from .validation import validate as validate
