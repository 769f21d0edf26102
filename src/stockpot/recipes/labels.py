"""Tensors that have a row for each class of a classifier."""

import re
from collections.abc import Sequence
from typing import cast

from ..checkpoints.beside.config import Disagreement
from .resolving.assignment import Assignment

_CLASSIFIER = re.compile(
    r"(.*\.)?(\w*classifier\w*|score|fc|head|heads|out_proj|logits\w*|cls)\.\w+"
)


def class_tensors(labels: Disagreement, tensors: Sequence[Assignment]) -> list[str]:
    """Those that are merged of several models, with a row for each of the classes' names."""
    counts = {len(cast(tuple[str, ...], names)) for _, names in labels.values}
    return [
        a.name
        for a in tensors
        if a.method is not None
        and a.shape[:1]
        and a.shape[0] in counts
        and _CLASSIFIER.search(a.name)
    ]
