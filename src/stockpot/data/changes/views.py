"""Views by name; and several of them side by side, as one data set that knows its parts.

Shapes: N samples.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ...errors import FieldError
from ...values.fields import nearest
from ..dataset import Dataset
from ..splits.subsets import OnlyDomain
from .corruptions import CORRUPTIONS, corruption
from .transforms import Transform

SEVERITY = 3
"""Of a corruption that is named without one."""

SEVERITIES = range(1, 6)
"""What a corruption's name may end in, as in noise-5; noise-all is every one of them."""

DOMAIN = "domain="
"""What the text of a domain begins with."""


@dataclass(frozen=True, slots=True, eq=False)
class Mixture:
    """One data set made of parts.

    Attributes:
        data: all samples, part after part.
        parts: where each part lies in it.
    """

    data: Dataset
    parts: Mapping[str, slice]


def named_views(texts: Iterable[str]) -> dict[str, Transform]:
    """Views from their texts, by the names that tables give them.

    Args:
        texts: `domain=NAME` for the samples of one domain; `noise-5` for a corruption of one
            severity, `noise` for that of severity 3, `noise-all` for all five.

    Raises:
        FieldError: a text is neither, or two of them are the same view.

    >>> named_views(["domain=twitter", "blur"])
    {'twitter': OnlyDomain(domain='twitter'), 'blur-3': Blur(severity=3)}
    """
    found: dict[str, Transform] = {}
    for text in texts:
        for name, view in _views(text):
            if name in found:
                raise FieldError(f"views: '{name[:80]}' stands twice.")
            found[name] = view
    return found


def _views(text: str) -> Iterable[tuple[str, Transform]]:
    if text.startswith(DOMAIN):
        domain = text.removeprefix(DOMAIN)
        return [(domain, OnlyDomain(domain=domain))]
    name, hyphen, severity = text.partition("-")
    ends = {"": [SEVERITY], "all": SEVERITIES} | {str(one): [one] for one in SEVERITIES}
    if name not in CORRUPTIONS or severity not in ends or (hyphen and not severity):
        raise FieldError(
            f"views: '{text[:80]}' is neither {DOMAIN}NAME nor a corruption with its severity, "
            f"1 to 5 or all, such as noise-3{nearest(name, CORRUPTIONS)}"
        )
    return [(f"{name}-{one}", corruption(name, one)) for one in ends[severity]]


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
