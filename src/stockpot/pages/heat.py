"""A table drawn as colours, layers down and models across, on one scale for the whole figure."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ..libraries import optional
from .axes import SMALL, dress, panels
from .styles import BLUE, VERMILION
from .units import plain, short

MOST_ROWS, MOST_COLUMNS = 40, 20
_WRITTEN = 12
"""Columns that have room for a number in each cell."""
_DARKEST = 0.65
"""Opacity at the end of the scale; text is legible on it in dark and in light."""
ABOVE, BELOW = VERMILION, BLUE
"""Colours of values above 0 and below."""

Cells = Mapping[tuple[str, str], float]


def heat(
    ax: Any,
    cells: Cells,
    rows: Sequence[str],
    columns: Sequence[str],
    *,
    question: str,
    x: str,
    show: Callable[[float], str],
    limit: float | None = None,
) -> Any:
    """Draw `cells[row, column]`: the darker, the further from 0; blank where there is none.

    Args:
        ax: the matplotlib Axes, or none for a new figure.
        cells: the values.
        rows, columns: of more than 40 rows, so many evenly over the network; the first 20 columns.
        question: the title.
        x: under the figure: what the colours are.
        show: a value in words.
        limit: the value that is darkest; by default the largest distance from 0.

    Returns:
        The Axes.
    """
    rows, columns = shown_rows(rows), list(columns)[:MOST_COLUMNS]
    seen = [abs(v) for (r, c), v in cells.items() if r in rows and c in columns]
    finite = [value for value in seen if math.isfinite(value)]
    most = limit or max(finite, default=0.0) or 1.0
    written = len(columns) <= _WRITTEN
    names = [plain(one, 34) for one in short(rows, 34)]
    beside = 0.6 + 0.07 * max(map(len, names), default=0)
    wide = max((0.52 if written else 0.3) * len(columns), 0.07 * len(x))
    size = (max(beside + wide + 0.4, 4.6), 0.2 * len(rows) + 1.5)
    (ax,) = panels(ax, 1, columns=1, size=size, question=question)
    rectangle = optional("matplotlib.patches").Rectangle
    for down, row in enumerate(rows):
        for across, column in enumerate(columns):
            value = cells.get((row, column), math.nan)
            if math.isnan(value):
                continue
            patch = rectangle(
                (across - 0.5, down - 0.5),
                1,
                1,
                color=ABOVE if value >= 0 else BELOW,
                alpha=_DARKEST * min(abs(value) / most, 1.0),
            )
            patch.set_linewidth(0)
            ax.add_patch(patch)
            if written:
                ax.text(across, down, show(value), ha="center", va="center", fontsize=SMALL - 1)
    dress(ax, x=x, grid="y")
    ax.grid(visible=False)
    ax.set_yticks(range(len(rows)), names)
    heads = [plain(one) for one in short(columns, 21)]
    ax.set_xticks(range(len(columns)), heads, rotation=90)
    ax.set_xlim(-0.5, len(columns) - 0.5)
    ax.set_ylim(len(rows) - 0.5, -0.5)
    ax.spines[:].set_visible(False)
    ax.tick_params(length=0, labelsize=SMALL - 0.5)
    return ax


def shown_rows(rows: Sequence[str]) -> list[str]:
    """All rows, or 40 of them evenly."""
    count = len(rows)
    return (
        list(rows)
        if count <= MOST_ROWS
        else [rows[count * k // MOST_ROWS] for k in range(MOST_ROWS)]
    )
