"""Quality against cost."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ..errors import StockpotError
from ..evaluation.results.comparison import Comparison, Cost, Row
from ..pages.axes import dress, interval_bar, legend, panels
from ..pages.styles import Style, in_order, styles
from ..pages.units import Unit, show_count
from .metric_rows import Cell, cell_of, metric_rows, single_cell, titles


@dataclass(frozen=True, slots=True)
class Priced:
    """A result and what one sample costs it."""

    row: Row
    price: float


def prices(rows: Sequence[Row], costs: Sequence[Cost]) -> tuple[list[Priced], str]:
    """Each row with its price, and what the price is: multiply-adds where all are known.

    Otherwise network evaluations, which every row has.
    """
    macs = {(Cell(c.network, c.data), c.method, c.n): c.macs for c in costs if c.macs > 0}
    known = [macs.get((cell_of(row), row.method, row.n)) for row in rows]
    if known and all(known):
        words = "multiply-adds (MAC) of one sample"
        return [Priced(row, float(k or 0)) for row, k in zip(rows, known, strict=True)], words
    words = "network evaluations of one sample"
    return [Priced(row, float(row.forwards)) for row in rows if row.forwards > 0], words


def plot_cost(result: Comparison, ax: Any = None) -> Any:
    """The metric against what one sample costs, on a logarithmic axis.

    A method whose cost grows with N is a path through its N; one that costs the same whatever N is
    a point, its largest N. What costs the same stands side by side around that cost.

    Raises:
        StockpotError: without a finite value, or where `ax` would hold a whole sweep.
    """
    shown, drawn = metric_rows(result), styles(result)
    priced, words = prices(in_order(shown.finite()), result.costs)
    cells = tuple(cell for cell in shown.cells() if any(cell_of(p.row) == cell for p in priced))
    if not cells:
        raise StockpotError("no value of the comparison is finite and has a cost: nothing to draw.")
    if ax is not None:
        single_cell(cells, "quality against cost")
    axes = panels(
        ax,
        len(cells),
        columns=2,
        size=(4.8 if len(cells) > 1 else 7.5, 3.2),
        question="What does quality cost?",
    )
    for one, cell in zip(axes, cells, strict=True):
        _paths(one, [p for p in priced if cell_of(p.row) == cell], shown.unit, drawn)
        dress(
            one,
            title=titles(cells)[cell],
            x=words,
            y=f"{shown.split} {shown.unit.label()}",
            grid="both",
        )
    legend(ax, axes, list(dict.fromkeys(p.row.method for p in priced)), drawn)
    return axes[0]


def _paths(ax: Any, priced: Sequence[Priced], unit: Unit, drawn: dict[str, Style]) -> None:
    ax.set_xscale("log")
    by_method: dict[str, list[Priced]] = {}
    for one in sorted(priced, key=lambda p: p.row.n):
        by_method.setdefault(one.row.method, []).append(one)
    points = {method: _points(mine) for method, mine in by_method.items()}
    beside = _side_by_side(points)
    for method, mine in points.items():
        xs = [one.price * beside[method, one.price] for one in mine]
        ys = [unit.factor * one.row.value for one in mine]
        for x, one in zip(xs, mine, strict=True):
            interval_bar(ax, one.row, unit, drawn[method], x, flat=False)
        joined = drawn[method].dash if len({one.row.n for one in mine}) == len(mine) else "none"
        ax.plot(xs, ys, linestyle=joined, linewidth=1.2, **drawn[method].marks(4))
        ax.plot(xs[-1:], ys[-1:], linestyle="none", **drawn[method].marks(6.5))
    ticks = sorted({one.price for mine in points.values() for one in mine})
    ax.set_xticks(_apart(ticks), [show_count(round(tick)) for tick in _apart(ticks)])
    ax.set_xticks([], minor=True)
    ax.set_xlim(0.75 * ticks[0], 1.3 * ticks[-1])


def _points(mine: Sequence[Priced]) -> Sequence[Priced]:
    """All N of a method whose cost grows with N, else the largest N."""
    if len({one.price for one in mine}) > 1:
        return mine
    largest = max(one.row.n for one in mine)
    return [one for one in mine if one.row.n == largest]


def _side_by_side(points: dict[str, Sequence[Priced]]) -> dict[tuple[str, float], float]:
    """For each method and price the factor that sets it beside the others of that price."""
    at: dict[float, list[str]] = {}
    for method, mine in points.items():
        for price in dict.fromkeys(one.price for one in mine):
            at.setdefault(price, []).append(method)
    return {
        (method, price): 1.03 ** (number - (len(methods) - 1) / 2)
        for price, methods in at.items()
        for number, method in enumerate(methods)
    }


def _apart(ticks: Sequence[float]) -> list[float]:
    """Ticks whose labels have room: each at least a quarter above the one before."""
    kept: list[float] = []
    for tick in ticks:
        if not kept or tick >= 1.25 * kept[-1]:
            kept.append(tick)
    return kept
