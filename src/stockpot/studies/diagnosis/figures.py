"""Figures of a diagnosis; a plot takes a result and an Axes, never a model."""

import math
from itertools import combinations
from statistics import median
from typing import Any

from ...pages.axes import SMALL, dress, panels, reference
from ...pages.heat import MOST_COLUMNS, heat
from ...pages.styles import INK
from ...pages.units import plain, short
from .result import DiagnosisResult

_FITS, _FAILS = "#0072b2", "#9ca3af"


def plot_kinship(result: DiagnosisResult, ax: Any = None) -> Any:
    """Correlation of the entries of each layer by pair of models, and with the base.

    Of more than 20 pairs the first are shown, of more than 40 layers so many evenly.
    """
    names = short(list(result.names), 9)
    cells = dict[tuple[str, str], float]()
    columns = list[str]()
    for i, j in combinations(range(len(names)), 2):
        columns.append(f"{names[i]} / {names[j]}")
        for one in result.layers:
            if not one.copies[i][j]:
                cells[one.tensor, columns[-1]] = one.correlations[i][j]
    for k, name in enumerate(names if result.bases else []):
        columns.append(f"{name} / base")
        for one in result.layers:
            if one.to_base and not one.still[k]:
                cells[one.tensor, columns[-1]] = one.to_base[k]
    return heat(
        ax,
        {place: value for place, value in cells.items() if math.isfinite(value)},
        [one.tensor for one in result.layers],
        columns[:MOST_COLUMNS],
        question="Do layers come from one start?",
        x="correlation: dark is one start, pale another; blank are copies",
        show=lambda value: f"{value:.2f}",
        limit=1.0,
    )


def plot_spreads(result: DiagnosisResult, ax: Any = None) -> Any:
    """Standard deviation of each layer over the models' median, as powers of 2."""
    cells = dict[tuple[str, str], float]()
    for one in result.scopes:
        usual = median(one.stds)
        for name, std in zip(result.names, one.stds, strict=True):
            if std > 0 and usual > 0:
                cells[one.tensor, name] = math.log2(std / usual)
    largest = max((abs(value) for value in cells.values()), default=0.0)
    return heat(
        ax,
        cells,
        [one.tensor for one in result.scopes],
        result.names,
        question="Have layers the same scale?",
        x="standard deviation over the models' median",
        show=lambda value: f"{2**value:.2f}",
        limit=max(1.0, largest),
    )


def plot_prospects(result: DiagnosisResult, ax: Any = None) -> Any:
    """The quality forecast of each method with its interval, the best on top."""
    known = [one for one in result.prospects if one.forecast]
    size = (6.4, 1.5 + 0.3 * len(known))
    (ax,) = panels(ax, 1, columns=1, size=size, question="Which method is worth trying?")
    names = [f"{one.method}, mended" if one.mended else one.method for one in known]
    for place, one in enumerate(known):
        colour = _FITS if one.fits else _FAILS
        ax.plot([one.low, one.high], [place, place], color=colour, linewidth=1.6)
        ax.plot(
            [one.quality], [place], marker="o", markersize=6, linestyle="none", color=colour,
            markeredgecolor=INK, markeredgewidth=0.5,
        )  # fmt: skip
        ax.annotate(
            f"{one.quality:.2f}",
            (max(one.high, one.quality), place),
            xytext=(6, 0),
            textcoords="offset points",
            va="center",
            fontsize=SMALL,
        )
    ax.set_yticks(range(len(known)), [plain(name) for name in names], fontsize=SMALL)
    ax.set_ylim(len(known) - 0.4, -0.9)
    low = min([0.0, *(one.low for one in known)])
    ax.set_xlim(low, max([1.1, *(one.high for one in known)]) + 0.12)
    dress(ax, x="forecast quality: 1 is the models' mean, 0 is chance", grid="x")
    ax.tick_params(axis="y", length=0)
    reference(ax, 1.0, "", flat=False)
    return ax
