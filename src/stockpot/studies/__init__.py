"""Why merging works and when it will not: each study computes a frozen result from networks.

A name's own file is imported when the name is first asked for: statistics of checkpoints need
neither networks nor training, and do not wait for them.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .diagnosis.diagnose import diagnose as diagnose
    from .diagnosis.findings import Diagnosis as Diagnosis
    from .templates.result import Templates as Templates
    from .templates.computing import templates as templates
    from .weights_features.agreement import compare_layers as compare_layers
    from .weights_features.result import WeightsFeatures as WeightsFeatures
    from .weights_features.computing import weights_features as weights_features
    from .conflicts.computing import Conflicts as Conflicts
    from .conflicts.computing import conflicts as conflicts
    from .conflicts.computing import conflicts_of as conflicts_of
    from .onepass.gathering import statistics_of as statistics_of
    from .scopes.computing import Scopes as Scopes
    from .scopes.computing import scopes as scopes
    from .scopes.computing import scopes_of as scopes_of
    from .onepass.statistics import Statistics as Statistics
    from .onepass.statistics import TensorStatistics as TensorStatistics
    from .backdoor.result import Contributors as Contributors
    from .backdoor.computing import contributors as contributors
    from .backdoor.computing import contributors_of as contributors_of
    from .connectivity.result import Barrier as Barrier
    from .connectivity.result import Connectivity as Connectivity
    from .connectivity.result import Path as Path
    from .connectivity.result import Plane as Plane
    from .connectivity.curves import Curve as Curve
    from .connectivity.curves import fit_curve as fit_curve
    from .connectivity.curves import weights_at as weights_at
    from .connectivity.computing import Look as Look
    from .connectivity.computing import connectivity as connectivity
    from .connectivity.span import Span as Span
    from .pools import Trial as Trial
    from .pools import pools_of as pools_of
    from .runs import Given as Given
    from .runs import models_of as models_of
    from .magnitude.result import Magnitude as Magnitude
    from .magnitude.computing import magnitude as magnitude
    from .study import Study as Study
    from .interference.result import Interference as Interference
    from .interference.computing import RANKS as RANKS
    from .interference.computing import interference as interference
    from .protocol.result import ProtocolStudy as ProtocolStudy
    from .protocol.computing import protocol as protocol

_NAMES = {
    "diagnosis.diagnose": ("diagnose",),
    "diagnosis.findings": ("Diagnosis",),
    "images.templates": ("Templates",),
    "images.templating": ("templates",),
    "layers.agreement": ("compare_layers",),
    "layers.feature_gap": ("WeightsFeatures",),
    "layers.featuring": ("weights_features",),
    "onepass.conflicts": (
        "Conflicts",
        "conflicts",
        "conflicts_of",
    ),
    "onepass.gathering": ("statistics_of",),
    "onepass.scopes": (
        "Scopes",
        "scopes",
        "scopes_of",
    ),
    "onepass.statistics": (
        "Statistics",
        "TensorStatistics",
    ),
    "outliers.contributors": ("Contributors",),
    "outliers.measuring": (
        "contributors",
        "contributors_of",
    ),
    "paths.connectivity": (
        "Barrier",
        "Connectivity",
        "Path",
        "Plane",
    ),
    "paths.curves": (
        "Curve",
        "fit_curve",
        "weights_at",
    ),
    "paths.linking": (
        "Look",
        "connectivity",
    ),
    "paths.span": ("Span",),
    "pools": (
        "Trial",
        "pools_of",
    ),
    "runs": (
        "Given",
        "models_of",
    ),
    "scaling.magnitude": ("Magnitude",),
    "scaling.multiplying": ("magnitude",),
    "study": ("Study",),
    "subspaces.interference": ("Interference",),
    "subspaces.measuring": (
        "RANKS",
        "interference",
    ),
    "testing.protocol": ("ProtocolStudy",),
    "testing.protocols": ("protocol",),
}
_WHERE = {name: where for where, names in _NAMES.items() for name in names}


def __getattr__(name: str) -> object:
    if name not in _WHERE:
        raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
    return getattr(import_module(f".{_WHERE[name]}", __name__), name)


def __dir__() -> list[str]:
    return sorted(_WHERE)
