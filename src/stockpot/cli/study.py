"""`stockpot study NAME ... --out RUN`: every study, each in a file of its own."""

from collections.abc import Callable

from cyclopts import App

from .study_backdoor import backdoor
from .study_connectivity import connectivity
from .study_interference import interference
from .study_magnitude import magnitude
from .study_protocol import protocol
from .study_scopes import conflicts, scopes
from .study_templates import templates
from .study_weights_features import weights_features

STUDIES: tuple[Callable[..., int], ...] = (
    backdoor,
    connectivity,
    interference,
    magnitude,
    protocol,
    scopes,
    conflicts,
    templates,
    weights_features,
)
"""Every study; its name is the function's."""

study_app = App(name="study", help="Why merging works: stockpot study NAME ... --out RUN.")
for _study in STUDIES:
    study_app.command(_study)
