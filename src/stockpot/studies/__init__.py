"""Why merging works and when it will not: each study computes a frozen result from networks.

A name's own file is imported when the name is first asked for: statistics of checkpoints need
neither networks nor training, and do not wait for them.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .diagnosis.diagnose import diagnose as diagnose
    from .diagnosis.findings import Diagnosis as Diagnosis
    from .images.templates import Templates as Templates
    from .images.templating import templates as templates
    from .layers.agreement import compare_layers as compare_layers
    from .layers.feature_gap import WeightsFeatures as WeightsFeatures
    from .layers.featuring import weights_features as weights_features
    from .onepass.conflicts import Conflicts as Conflicts
    from .onepass.conflicts import conflicts as conflicts
    from .onepass.conflicts import conflicts_of as conflicts_of
    from .onepass.gathering import statistics_of as statistics_of
    from .onepass.scopes import Scopes as Scopes
    from .onepass.scopes import scopes as scopes
    from .onepass.scopes import scopes_of as scopes_of
    from .onepass.statistics import Statistics as Statistics
    from .onepass.statistics import TensorStatistics as TensorStatistics
    from .outliers.contributors import Contributors as Contributors
    from .outliers.measuring import contributors as contributors
    from .outliers.measuring import contributors_of as contributors_of
    from .paths.connectivity import Barrier as Barrier
    from .paths.connectivity import Connectivity as Connectivity
    from .paths.connectivity import Path as Path
    from .paths.connectivity import Plane as Plane
    from .paths.curves import Curve as Curve
    from .paths.curves import fit_curve as fit_curve
    from .paths.curves import weights_at as weights_at
    from .paths.linking import Look as Look
    from .paths.linking import connectivity as connectivity
    from .paths.span import Span as Span
    from .pools import Trial as Trial
    from .pools import pools_of as pools_of
    from .runs import Given as Given
    from .runs import models_of as models_of
    from .scaling.magnitude import Magnitude as Magnitude
    from .scaling.multiplying import magnitude as magnitude
    from .study import Study as Study
    from .subspaces.interference import Interference as Interference
    from .subspaces.measuring import RANKS as RANKS
    from .subspaces.measuring import interference as interference
    from .testing.protocol import ProtocolStudy as ProtocolStudy
    from .testing.protocols import protocol as protocol

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
