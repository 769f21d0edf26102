"""Every contender at a glance; a plot takes a result and an Axes, never a model."""

import math
from typing import Any, get_args

from ..evaluation.results.comparison import Comparison, Kind, Row
from ..libraries import optional
from ..pages.axes import SMALL, dress, interval_bar
from ..pages.styles import FAMILIES, Style, family_of, styles
from ..pages.units import plain, short
from .metric_rows import MetricRows, drawable, metric_rows

_KINDS = get_args(Kind)


def plot_comparison(result: Comparison, ax: Any = None) -> Any:
    """The metric of each contender as a dot with its 95% interval, best at the top of its kind.

    Raises:
        StockpotError: without a row of the whole split.
    """
    shown, drawn = metric_rows(result), styles(result)
    rows = [row for row in shown.rows if drawable(row)]
    rows.sort(key=lambda row: (-_KINDS.index(row.kind), row.value))
    callers = ax is not None
    if not callers:
        figure = optional("matplotlib.figure").Figure(
            figsize=(8, 1.8 + 0.3 * len(rows)), layout="constrained"
        )
        ax = figure.subplots()
    for height, row in enumerate(rows):
        _dot(ax, row, shown, drawn[row.method], height)
    ax.set_yticks(
        range(len(rows)), [plain(name) for name in short([row.method for row in rows], 30)]
    )
    if shown.unit.sign == "%":
        ax.set_xlim(0, 100)
    dress(ax, x=f"{shown.split} {shown.unit.label()} (bar: 95% interval)", grid="x")
    ax.set_title(plain(result.title, longest=90), loc="left", fontsize=11)
    ax.spines["left"].set_visible(False)
    ax.tick_params(axis="y", length=0)
    _families(ax, rows, callers=callers)
    return ax


def _dot(ax: Any, row: Row, shown: MetricRows, style: Style, height: int) -> None:
    interval_bar(ax, row, shown.unit, style, height, flat=True)
    value = shown.unit.factor * row.value
    ax.plot([value], [height], linestyle="none", **style.marks(6))
    cost = f", {row.forwards} evaluations" if row.forwards > 1 else ""
    ax.annotate(
        f"{shown.unit.show(row.value)}{cost}",
        (shown.unit.factor * row.high if math.isfinite(row.high) else value, height),
        xytext=(6, 0),
        textcoords="offset points",
        va="center",
        fontsize=SMALL,
    )


def _families(ax: Any, rows: list[Row], *, callers: bool) -> None:
    """What the colours and markers mean, under the axis; `callers`: the Axes is not our own."""
    present = [key for key in FAMILIES if any(family_of(row) == key for row in rows)]
    line = optional("matplotlib.lines").Line2D
    handles = [
        line([], [], linestyle="none", **styled.marks(6), label=FAMILIES[key].words)
        for key in present
        for styled in [Style(FAMILIES[key].colour, FAMILIES[key].marker, "solid", hollow=False)]
    ]
    place: dict[str, Any] = {
        "loc": "upper center",
        # A row and a half under the axis, however many rows there are.
        "bbox_to_anchor": (0.4, -1.5 / max(len(rows), 1)),
    }
    where = ax if callers else ax.figure
    where.legend(
        handles=handles,
        **(place if callers else {"loc": "outside lower left"}),
        ncols=3,
        frameon=False,
        fontsize=SMALL,
    )
