"""The pages of studies, and their files."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ..errors import OutputError
from ..studies import (
    Conflicts,
    Connectivity,
    Diagnosis,
    Interference,
    Magnitude,
    ProtocolStudy,
    Scopes,
    Study,
    Templates,
    WeightsFeatures,
)
from ..training.folder import LISTING
from .conflicts_page import conflicts_page
from .connectivity_page import connectivity_page
from .diagnosis_page import diagnosis_page
from .filled import write_files
from .interference_page import interference_page
from .magnitude_page import magnitude_page
from .protocol import protocol_page
from .scopes_page import scopes_page
from .templates_page import templates_page
from .weights_features_page import weights_features_page

PAGES: Mapping[type, Callable[[Any], str]] = {
    Connectivity: connectivity_page,
    Diagnosis: diagnosis_page,
    Interference: interference_page,
    Magnitude: magnitude_page,
    ProtocolStudy: protocol_page,
    Scopes: scopes_page,
    Conflicts: conflicts_page,
    Templates: templates_page,
    WeightsFeatures: weights_features_page,
}
"""The page of each kind of result."""


def render_study(study: Study) -> str:
    """The page of a study, as text.

    Raises:
        ExtraError: without matplotlib and Jinja2.
    """
    return PAGES[type(study)](study)


def refuse_run(out: Path) -> None:
    """A run's folder has a report of its own, which a study must not replace.

    Raises:
        OutputError: `out` is one.
    """
    if (out / LISTING).exists():
        raise OutputError(
            f"{out} is the run of an experiment, with a report of its own: give the study a folder "
            f"in it, such as --out {out / 'study'}."
        )


def write_study(study: Study, out: Path) -> None:
    """Write report.html, results.csv and results.json into `out`, as `write_report` does.

    Raises:
        OutputError: where a file cannot be written, or `out` is the run of an experiment.
        ExtraError: without matplotlib and Jinja2.
    """
    refuse_run(out)
    write_files(
        out,
        {
            "results.csv": study.to_csv(),
            "results.json": json.dumps(study.as_dict(), indent=1, allow_nan=False) + "\n",
            "report.html": render_study(study),
        },
    )
