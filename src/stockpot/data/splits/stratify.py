"""Dealing samples into parts so that each part has the classes in the proportions of the whole.

Shapes: N samples, L classes, U units (samples that stay together), P parts.
"""

import random
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from ...typed import to_numpy
from ..dataset import Dataset
from .contents import units_of

Array = npt.NDArray[np.float64]


def stratified(data: Dataset, fractions: Sequence[float], seed: int) -> list[list[int]]:
    """The sorted positions of each part, and of what is left: one list more than fractions.

    Samples of one content or one original stay together, as one unit.

    One label each: the units of each class, a unit counting where its first sample does, are
    shuffled by the seed and cut at the fractions, rounded to whole units. So every class is within
    one unit of its share in every part.

    Several labels each: iterative stratification. The label that fewest remaining units have is
    dealt first; each of its units goes to the part that still wants most of that label, then to the
    one that wants most samples, then to one drawn by the seed.

    Source: K. Sechidis, G. Tsoumakas, I. Vlahavas, On the Stratification of Multi-label Data,
    ECML PKDD 2011, algorithm 1.
    """
    units = units_of(data)
    deal = _deal_by_label if data.is_multilabel else _cut_by_class
    parts = deal(data, units, fractions, random.Random(seed))
    return [sorted(position for unit in part for position in unit) for part in parts]


def _cut_by_class(
    data: Dataset, units: list[list[int]], fractions: Sequence[float], shuffler: random.Random
) -> list[list[list[int]]]:
    by_class: list[list[list[int]]] = [[] for _ in range(data.num_classes)]
    labels = to_numpy(data.labels)
    for unit in units:
        by_class[int(labels[unit[0]])].append(unit)
    parts: list[list[list[int]]] = [[] for _ in range(len(fractions) + 1)]
    for members in by_class:
        shuffler.shuffle(members)
        start = 0
        for part, fraction in zip(parts, fractions, strict=False):
            stop = start + round(fraction * len(members))
            part.extend(members[start:stop])
            start = stop
        parts[-1].extend(members[start:])
    return parts


def _deal_by_label(
    data: Dataset, units: list[list[int]], fractions: Sequence[float], shuffler: random.Random
) -> list[list[list[int]]]:
    shuffler.shuffle(units)
    labels_NL = to_numpy(data.labels)
    counts_UL = np.stack([labels_NL[unit].sum(0) for unit in units]).astype(np.float64)
    shares_P = np.array([*fractions, 1 - sum(fractions)])
    wanted_PL = shares_P[:, None] * counts_UL.sum(0)
    wanted_P = shares_P * len(data)
    parts: list[list[list[int]]] = [[] for _ in shares_P]
    left_U = np.ones(len(units), dtype=bool)
    while left_U.any():
        chosen, label = _rarest(counts_UL, left_U)
        for index in chosen:
            wants_P = wanted_P if label is None else wanted_PL[:, label]
            part = _neediest(wants_P, wanted_P, shuffler)
            parts[part].append(units[index])
            wanted_PL[part] -= counts_UL[index]
            wanted_P[part] -= len(units[index])
        left_U[chosen] = False
    return parts


def _rarest(counts_UL: Array, left_U: npt.NDArray[np.bool_]) -> tuple[list[int], int | None]:
    """The remaining units of the label that fewest have; those without labels come last."""
    holders_L = ((counts_UL > 0) & left_U[:, None]).sum(0)
    there = np.flatnonzero(holders_L)
    if not there.size:
        return np.flatnonzero(left_U).tolist(), None
    label = int(there[holders_L[there].argmin()])
    return np.flatnonzero((counts_UL[:, label] > 0) & left_U).tolist(), label


def _neediest(wants_P: Array, wanted_P: Array, shuffler: random.Random) -> int:
    """The part that wants most of a label; of equals the one that wants most; else by lot."""
    best = np.flatnonzero(wants_P == wants_P.max())
    if best.size > 1:
        best = best[wanted_P[best] == wanted_P[best].max()]
    return int(best[0]) if best.size == 1 else shuffler.choice(best.tolist())
