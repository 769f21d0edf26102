"""Quality by architecture and by data set, where a sweep has several."""

from collections.abc import Sequence
from typing import Any, Literal

from ..errors import StockpotError
from ..evaluation.results.comparison import INDIVIDUAL, Comparison, Row
from ..pages.axes import Band, bands, bands_height, dress, legend, panels
from ..pages.styles import TABLE_1, in_order, styles
from .metric_rows import MetricRows, cell_of, metric_rows

Axis = Literal["network", "data"]


def plot_networks(result: Comparison, ax: Any = None) -> Any:
    """The metric of each method at the largest N, architecture by architecture.

    The methods are those of the paper's Table 1 and the best single network, where there are any of
    them and no individual networks of several tasks; otherwise all. Each data set has a panel.

    Raises:
        StockpotError: without a finite value, or where `ax` would hold several data sets.
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
    shown, drawn = metric_rows(result), styles(result)
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
    axes = panels(
        ax,
        len(groups),
        columns=2,
        size=(4.8 if len(groups) > 1 else 7.5, bands_height(len(names), len(methods))),
        question=f"{question} N = {_counts(rows)}",
    )
    for one, group in zip(axes, groups, strict=True):
        mine = [row for row in rows if _of(row, across) == group]
        bands(
            one, [Band(_of(row, down), row.method, row) for row in mine], names, shown.unit, drawn
        )
        dress(
            one,
            title=group if ax is None else "",
            x=f"{shown.split} {shown.unit.label()}",
            grid="x",
            longest=34,
        )
    legend(ax, axes, methods, drawn)
    return axes[0]


def _of(row: Row, axis: Axis) -> str:
    return row.network if axis == "network" else row.data


def _largest(shown: MetricRows) -> list[Row]:
    """The rows of each cell's largest N, of the main methods."""
    rows = in_order(shown.finite())
    most = {cell: max(row.n for row in rows if cell_of(row) == cell) for cell in map(cell_of, rows)}
    main = {*TABLE_1, "single-best"}
    kept = [row for row in rows if row.n == most[cell_of(row)]]
    if any(row.method == INDIVIDUAL for row in kept):
        return kept
    return [row for row in kept if row.method in main] or kept


def _counts(rows: Sequence[Row]) -> str:
    return ", ".join(str(n) for n in sorted({row.n for row in rows}))
