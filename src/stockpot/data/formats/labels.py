"""Class names as numbers.

Shapes: N samples, L classes.
"""

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor

from ...checkpoints.formats.untrusted import listed
from ...errors import StockpotError


def classes_of(values: Iterable[str]) -> tuple[str, ...]:
    """The distinct values in order: by number where all are whole numbers, else by letters.

    >>> classes_of(["10", "9", "9"])
    ('9', '10')
    """
    found = set(values)
    numeric = all(one.removeprefix("-").isdecimal() and one.isascii() for one in found)
    return tuple(sorted(found, key=int) if numeric else sorted(found))


def numbered(name: str, values: Sequence[str], classes: Sequence[str]) -> Tensor:
    """Each value's place among the classes, int64 [N].

    Raises:
        StockpotError: for a value that is no class.
    """
    places = {one: place for place, one in enumerate(classes)}
    unknown = sorted(set(values) - places.keys())
    if unknown:
        raise StockpotError(
            f"data '{name}': the labels {listed(unknown)} are not among the training part's "
            f"classes {listed(classes)}."
        )
    return torch.tensor([places[one] for one in values], dtype=torch.int64)


def flags(name: str, values: Sequence[Iterable[str]], classes: Sequence[str]) -> Tensor:
    """For each sample, which classes it has, bool [N, L].

    Raises:
        StockpotError: for a value that is no class.
    """
    flags_NL = torch.zeros(len(values), len(classes), dtype=torch.bool)
    for row, held in zip(flags_NL, values, strict=True):
        row[numbered(name, list(held), classes)] = True
    return flags_NL
