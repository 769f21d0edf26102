"""Several views of the same samples side by side, as one data set that knows its parts.

Shapes: N samples.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from .dataset import Dataset
from .transforms import Transform


@dataclass(frozen=True, slots=True, eq=False)
class Mixture:
    """One data set made of parts.

    Attributes:
        data: all samples, part after part.
        parts: where each part lies in it.
    """

    data: Dataset
    parts: Mapping[str, slice]


def mixture(data: Dataset, views: Mapping[str, Transform | None]) -> Mixture:
    """Every sample under every view, None being the data as they are; originals are kept."""
    seen = [view(data) if view else data for view in views.values()]
    parts: dict[str, slice] = {}
    start = 0
    for name, part in zip(views, seen, strict=True):
        parts[name] = slice(start, start + len(part))
        start += len(part)
    joined = replace(
        data,
        inputs=torch.cat([part.inputs for part in seen]),
        labels=torch.cat([part.labels for part in seen]),
        originals=torch.cat([part.originals for part in seen]),
        domain=_joined([part.domain for part in seen]),
    )
    return Mixture(joined, parts)


def _joined(domains: list[Tensor | None]) -> Tensor | None:
    there = [one for one in domains if one is not None]
    return torch.cat(there) if there else None
