"""Quality by architecture and by data set, where a sweep has several."""

from collections.abc import Sequence
from typing import Any, Literal

from ..errors import StockpotError
from ..evaluation.comparison import Comparison, Row
from .axes import SMALL, dodges, dress, interval_bar, legend, panels
from .styles import GRID, TABLE_1, Style, in_order, styles
from .units import plain, short
from .view import View, cell_of, view

Axis = Literal["network", "data"]

_STEP = 0.11
"""Inches from one method's bar to the next."""


def plot_networks(result: Comparison, ax: Any = None) -> Any:
    """The metric of each method at the largest N, architecture by architecture.

    The methods are those of the paper's Table 1 and the best single network, where there are any of
    them; otherwise all. Each data set has a panel.

    Args:
        result: a sweep.
        ax: the matplotlib Axes to draw on, for one data set; a new figure without one.

    Returns:
        The Axes, or the first of the new figure.

    Raises:
        StockpotError: without a finite value, or where `ax` would hold several data sets.
        ExtraError: without matplotlib.
    """
    return _plot(
        result, ax, down="network", across="data", question="Does it depend on the network?"
    )


def plot_data_sets(result: Comparison, ax: Any = None) -> Any:
    """The metric of each method at the largest N, data set by data set, a panel for each network.

    Otherwise as `plot_networks`.
    """
    return _plot(result, ax, down="data", across="network", question="Does it depend on the data?")


def _plot(result: Comparison, ax: Any, *, down: Axis, across: Axis, question: str) -> Any:
    shown, drawn = view(result), styles(result)
    rows = _largest(shown)
    if not rows:
        raise StockpotError("no value of the comparison is finite: nothing to draw.")
    groups = list(dict.fromkeys(_of(row, across) for row in rows))
    names = list(dict.fromkeys(_of(row, down) for row in rows))
    methods = list(dict.fromkeys(row.method for row in rows))
    if ax is not None and len(groups) > 1:
        raise StockpotError(
            f"one Axes holds one {across}; this comparison has {len(groups)}. "
            f"Draw without `ax`, or narrow the comparison with only(result, {across}=...)."
        )
    height = len(names) * (len(methods) + 1.5) * _STEP + 0.9
    axes = panels(
        ax,
        len(groups),
        columns=2,
        size=(4.8 if len(groups) > 1 else 7.5, max(1.8, height)),
        question=f"{question} N = {_counts(rows)}",
    )
    for one, group in zip(axes, groups, strict=True):
        _dots(one, [row for row in rows if _of(row, across) == group], names, down, shown, drawn)
        dress(
            one,
            title=group if ax is None else "",
            x=f"{shown.split} {shown.unit.label()}",
            grid="x",
        )
        one.tick_params(axis="y", length=0)
    legend(ax, axes, methods, drawn)
    return axes[0]


def _of(row: Row, axis: Axis) -> str:
    return row.network if axis == "network" else row.data


def _largest(shown: View) -> list[Row]:
    """The rows of each cell's largest N, of the main methods."""
    rows = in_order(shown.finite())
    most = {cell: max(row.n for row in rows if cell_of(row) == cell) for cell in map(cell_of, rows)}
    main = {*TABLE_1, "single-best"}
    kept = [row for row in rows if row.n == most[cell_of(row)]]
    return [row for row in kept if row.method in main] or kept


def _counts(rows: Sequence[Row]) -> str:
    return ", ".join(str(n) for n in sorted({row.n for row in rows}))


def _dots(
    ax: Any,
    rows: Sequence[Row],
    names: Sequence[str],
    down: Axis,
    shown: View,
    drawn: dict[str, Style],
) -> None:
    """Names under each other, the first on top; the methods of one name in its band."""
    methods = list(dict.fromkeys(row.method for row in rows))
    band = dict(zip(methods, dodges(len(methods), 0.8), strict=True))
    for row in rows:
        place = names.index(_of(row, down)) + band[row.method]
        interval_bar(ax, row, shown.unit, drawn[row.method], place, flat=True)
        ax.plot(
            [shown.unit.factor * row.value],
            [place],
            linestyle="none",
            **drawn[row.method].marks(4.5),
        )
    for edge in range(1, len(names)):
        ax.axhline(edge - 0.5, color=GRID, linewidth=0.8)
    ax.set_yticks(range(len(names)), [plain(name) for name in short(names, 26)], fontsize=SMALL)
    ax.set_ylim(len(names) - 0.5, -0.5)
