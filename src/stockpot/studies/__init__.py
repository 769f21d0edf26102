"""Why merging works and when it will not: each study computes a frozen result from networks."""

from .interference import Interference as Interference
from .measuring import RANKS as RANKS
from .measuring import interference as interference
from .pools import Trial as Trial
from .pools import pools_of as pools_of
from .runs import Given as Given
from .runs import models_of as models_of
from .study import Study as Study
