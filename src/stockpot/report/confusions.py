"""Which classes are taken for which."""

import math
from typing import Any

import numpy as np

from ..errors import StockpotError
from ..evaluation.results.comparison import Comparison, Confusion
from ..libraries import optional
from ..pages.axes import SMALL, dress, panels
from ..pages.styles import FAMILIES
from ..pages.units import plain, short

MOST = 25
"""Classes that one matrix shows."""

_DARKEST = 0.65
"""Opacity of a cell that holds its whole row; text is legible on it in dark and in light.

Opacity grows with the root of the part, so that a mistake of one in a hundred is seen.
"""


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


def plot_confusion(result: Comparison, ax: Any = None) -> Any:
    """Counts by true class (down) and said class (across); the darker, the larger part of its row.

    Of more than 25 classes those with the most mistakes are shown.

    Raises:
        StockpotError: without a confusion of at least one class.
    """
    confusion = result.confusion
    if confusion is None or not confusion.classes:
        raise StockpotError("the comparison has no confusion to draw.")
    places = shown_classes(confusion)
    count = len(places)
    side = max(3.2, 0.30 * count + 1.6)
    question = f"What does {plain(confusion.method)} take for what?"
    (ax,) = panels(ax, 1, columns=1, size=(side + 1.0, side), question=question)
    rectangle = optional("matplotlib.patches").Rectangle
    for down, i in enumerate(places):
        whole = sum(confusion.counts[i])
        for across, j in enumerate(places):
            number = confusion.counts[i][j]
            if number == 0:
                continue
            colour = FAMILIES["uniform-soup"].colour if i == j else FAMILIES["control"].colour
            patch = rectangle(
                (across - 0.5, down - 0.5),
                1,
                1,
                color=colour,
                alpha=_DARKEST * math.sqrt(number / whole),
            )
            patch.set_linewidth(0)
            ax.add_patch(patch)
            size = SMALL if number < 1000 else SMALL - 1.5
            ax.text(across, down, str(number), ha="center", va="center", fontsize=size)
    dress(ax, x="said", y="true", grid="y")
    ax.grid(visible=False)
    names = [plain(name) for name in short([confusion.classes[place] for place in places], 18)]
    ax.set_yticks(range(count), names)
    ax.set_xticks(range(count), names, rotation=90 if max(map(len, names)) > 2 else 0)
    ax.set_xlim(-0.5, count - 0.5)
    ax.set_ylim(count - 0.5, -0.5)
    ax.set_aspect("equal")
    ax.spines[:].set_visible(False)
    ax.tick_params(length=0)
    return ax
