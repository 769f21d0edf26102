"""What a merge is expected to be worth, from weights alone: a fitted table, and how good it is."""

from .fitted import Expected as Expected
from .fitted import Forecast as Forecast
from .table import CANDIDATES as CANDIDATES
from .table import Candidate as Candidate
from .table import MergeRow as MergeRow
from .table import PoolRow as PoolRow
from .table import candidates as candidates
from .table import shipped as shipped
from .traits import Traits as Traits
from .traits import traits_of as traits_of
from .validation import Validation as Validation
from .validation import validate as validate
