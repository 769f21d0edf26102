"""Why merging works and when it will not: a study is a value that gives a frozen result.

`STUDIES` has every study of the command `study`; `diagnose` is a command of its own. Values are
light; what computes, draws and tells of a study is imported when it is first needed, so that
statistics of checkpoints wait for neither networks nor training.
"""

from typing import TYPE_CHECKING

from ..lazy import lazy_names
from ..methods import catalogue
from ..values.family import Family
from .backdoor import Backdoor as Backdoor
from .conflicts import Conflicts as Conflicts
from .connectivity import Connectivity as Connectivity
from .diagnosis import Diagnosis as Diagnosis
from .diagnosis import diagnose as diagnose
from .interference import Interference as Interference
from .magnitude import Magnitude as Magnitude
from .protocol import Protocol as Protocol
from .scopes import Scopes as Scopes
from .study import Study as Study
from .study import StudyResult as StudyResult
from .templates import Templates as Templates
from .weights_features import WeightsFeatures as WeightsFeatures

if TYPE_CHECKING:
    from .connectivity.curves import fit_curve as fit_curve
    from .onepass.gathering import statistics_of as statistics_of
    from .pools import open_pools as open_pools

STUDIES: tuple[type[Study], ...] = (
    Backdoor,
    Conflicts,
    Connectivity,
    Interference,
    Magnitude,
    Protocol,
    Scopes,
    Templates,
    WeightsFeatures,
)
"""Every study of `stockpot study`, in the order in which the command line lists them."""

FAMILY: Family[Study] = Family("study", (*STUDIES, Diagnosis), of=Study, inner=(catalogue.FAMILY,))
"""All of them, as results files and flags have them."""

__getattr__, _later = lazy_names(
    __name__,
    {
        "connectivity.curves": "fit_curve",
        "onepass.gathering": "statistics_of",
        "pools": "open_pools",
    },
)


def __dir__() -> list[str]:
    values = (one.__name__ for one in FAMILY.classes)
    return sorted(["FAMILY", "STUDIES", "Study", "StudyResult", "diagnose", *values, *_later()])
