"""Why merging works and when it will not: a study is a value that gives a frozen result.

`STUDIES` has every study. Values are light; what computes, draws and tells of a study is imported
when it is first needed, so that statistics of checkpoints wait for neither networks nor training.
"""

from importlib import import_module
from typing import TYPE_CHECKING

from .backdoor import Backdoor as Backdoor
from .conflicts import Conflicts as Conflicts
from .connectivity import Connectivity as Connectivity
from .interference import Interference as Interference
from .magnitude import Magnitude as Magnitude
from .protocol import Protocol as Protocol
from .scopes import Scopes as Scopes
from .study import Result as Result
from .study import Study as Study
from .templates import Templates as Templates
from .weights_features import WeightsFeatures as WeightsFeatures

if TYPE_CHECKING:
    from .connectivity.curves import fit_curve as fit_curve
    from .diagnosis.computing import diagnose as diagnose
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
"""Every study, in the order in which the command line lists them."""

_LATER = {
    "diagnose": "diagnosis.computing",
    "fit_curve": "connectivity.curves",
    "open_pools": "pools",
    "statistics_of": "onepass.gathering",
}


def __getattr__(name: str) -> object:
    if name not in _LATER:
        raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
    return getattr(import_module(f".{_LATER[name]}", __name__), name)


def __dir__() -> list[str]:
    return sorted(["STUDIES", "Result", "Study", *(one.__name__ for one in STUDIES), *_LATER])
