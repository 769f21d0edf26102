"""Every kind of result that has a page: how a results file calls it, its type, and its page.

A new kind is one line in KINDS: a frozen dataclass with `as_dict` and `to_csv`, and a function that
makes a `Page` of it. Writing, reading back and `stockpot report` follow from that line.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from ..evaluation.comparison import Comparison
from ..federated.result import Outcome
from ..studies import (
    Conflicts,
    Connectivity,
    Contributors,
    Diagnosis,
    Interference,
    Magnitude,
    ProtocolStudy,
    Scopes,
    Templates,
    WeightsFeatures,
)
from ..studies.conflicts.page import conflicts_page
from ..studies.connectivity.page import connectivity_page
from ..studies.backdoor.page import contributors_page
from ..studies.diagnosis.page import diagnosis_page
from ..federated.page import federation_page
from ..pages.filled import Page
from ..studies.interference.page import interference_page
from ..studies.magnitude.page import magnitude_page
from .page import comparison_page
from ..studies.protocol.page import protocol_page
from ..studies.scopes.page import scopes_page
from ..studies.templates.page import templates_page
from ..studies.weights_features.page import weights_features_page


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of result.

    Attributes:
        result: its type, a frozen dataclass whose `as_dict` has every field.
        page: what a page says of one.
    """

    result: type[Any]
    page: Callable[[Any], Page]


KINDS: Mapping[str, Kind] = {
    "comparison": Kind(Comparison, comparison_page),
    "federation": Kind(Outcome, federation_page),
    "backdoor": Kind(Contributors, contributors_page),
    "conflicts": Kind(Conflicts, conflicts_page),
    "connectivity": Kind(Connectivity, connectivity_page),
    "diagnosis": Kind(Diagnosis, diagnosis_page),
    "interference": Kind(Interference, interference_page),
    "magnitude": Kind(Magnitude, magnitude_page),
    "protocol": Kind(ProtocolStudy, protocol_page),
    "scopes": Kind(Scopes, scopes_page),
    "templates": Kind(Templates, templates_page),
    "weights-features": Kind(WeightsFeatures, weights_features_page),
}
"""By the name that is in a results file under report, kind."""
