"""Which classes are taken for which."""

import numpy as np

from ..evaluation.results.comparison import Confusion
from ..pages.figures import Cell, Heat

MOST = 25
"""Classes that one matrix shows."""


def shown_classes(confusion: Confusion) -> list[int]:
    """The classes that the matrix shows: all, or those with the most mistakes, in their order."""
    counts_LL = np.asarray(confusion.counts, dtype=np.int64)
    wrong_LL = counts_LL - np.diag(np.diag(counts_LL))
    wrong_L = wrong_LL.sum(axis=0) + wrong_LL.sum(axis=1)
    worst = np.argsort(-wrong_L, kind="stable")[:MOST]
    return sorted(int(place) for place in worst)


def mistakes(confusion: Confusion, most: int = 10) -> list[tuple[str, str, int, int]]:
    """The most frequent mistakes: true class, said class, how often, and of how many."""
    found = [
        (confusion.classes[i], confusion.classes[j], count, sum(row))
        for i, row in enumerate(confusion.counts)
        for j, count in enumerate(row)
        if i != j and count > 0
    ]
    return sorted(found, key=lambda one: -one[2])[:most]


def confusion(result: Confusion) -> Heat:
    """Counts by true class (down) and said class (across); the darker, the larger part of its row.

    Of more than 25 classes those with the most mistakes are shown; mistakes are orange.
    """
    places = shown_classes(result)
    cells: list[Cell] = []
    for down, i in enumerate(places):
        whole = sum(result.counts[i])
        for across, j in enumerate(places):
            number = result.counts[i][j]
            if number:
                share = number / whole
                cells.append(Cell(down, across, -share if i == j else share, str(number)))
    names = tuple(result.classes[place] for place in places)
    return Heat(
        cells=tuple(cells), rows=names, columns=names, limit=1, x="said", y="true", scale="root"
    )
