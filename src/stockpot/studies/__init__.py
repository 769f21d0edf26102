"""Why merging works and when it will not: each study computes a frozen result from networks."""

from .connectivity import Barrier as Barrier
from .connectivity import Connectivity as Connectivity
from .connectivity import Path as Path
from .connectivity import Plane as Plane
from .curves import Curve as Curve
from .curves import fit_curve as fit_curve
from .curves import weights_at as weights_at
from .gathering import statistics_of as statistics_of
from .interference import Interference as Interference
from .linking import Look as Look
from .linking import connectivity as connectivity
from .magnitude import Magnitude as Magnitude
from .measuring import RANKS as RANKS
from .measuring import interference as interference
from .multiplying import magnitude as magnitude
from .pools import Trial as Trial
from .pools import pools_of as pools_of
from .protocol import ProtocolStudy as ProtocolStudy
from .protocols import protocol as protocol
from .runs import Given as Given
from .runs import models_of as models_of
from .span import Span as Span
from .statistics import Statistics as Statistics
from .statistics import TensorStatistics as TensorStatistics
from .study import Study as Study
