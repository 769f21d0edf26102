"""Quality on the parts and views of the test split: what is left of it under a shift."""

from typing import Any

from ..errors import StockpotError
from ..evaluation.results.comparison import Comparison, Row
from ..pages.axes import Band, bands, bands_height, dress, legend, panels, reference
from ..pages.styles import in_order, styles
from .curves import ENSEMBLE
from .metric_rows import cell_of, drawable, metric_rows, single_cell, titles

WHOLE = "whole test split"
"""What the part that is all of it is called."""

_MAIN = ("single-mean", "single-best", "uniform-soup", "greedy-soup", "distilled", ENSEMBLE)


def plot_parts(result: Comparison, ax: Any = None) -> Any:
    """The metric of each method at the largest N, part by part, the whole test split first.

    The methods are the single networks, the uniform and greedy soup, the logits ensemble and the
    distilled network, where there are any of them; otherwise all. Each network and data set of a
    sweep has a panel.

    Raises:
        StockpotError: without a finite value on any part, or where `ax` would hold a whole sweep.
    """
    shown, drawn = metric_rows(result), styles(result)
    rows = [row for row in in_order(result.parted(shown.metric)) if drawable(row)]
    rows = [row for row in rows if row.method.partition(":")[0] in _MAIN] or rows
    if not rows:
        raise StockpotError("the comparison has no parts or views of the test split to draw.")
    cells = list(dict.fromkeys(map(cell_of, rows)))
    if ax is not None:
        single_cell(cells, "quality by part")
    names = list(dict.fromkeys(map(_name, rows)))
    methods = list(dict.fromkeys(row.method for row in rows))
    axes = panels(
        ax,
        len(cells),
        columns=2,
        size=(4.8 if len(cells) > 1 else 7.5, bands_height(len(names), len(methods))),
        question="What is left of it under a shift?",
    )
    for one, cell in zip(axes, cells, strict=True):
        dots = [Band(_name(row), row.method, row) for row in rows if cell_of(row) == cell]
        bands(one, dots, names, shown.unit, drawn)
        title = titles(cells)[cell] if ax is None else ""
        dress(one, title=title, x=f"test {shown.unit.label()}", grid="x")
    legend(ax, axes, methods, drawn)
    return axes[0]


def plot_part_gaps(result: Comparison, ax: Any = None) -> Any:
    """How far the logits ensemble is above each other method, part by part, at the largest N.

    Differences are paired: on each part both methods saw the same samples.

    Raises:
        StockpotError: without differences to the logits ensemble on a part.
    """
    shown, drawn = metric_rows(result), styles(result)
    most = max((pair.n for pair in result.differences), default=0)
    ahead = [pair for pair in result.differences if (pair.n, pair.a) == (most, ENSEMBLE)]
    seen = {pair.b for pair in ahead if pair.part != "all"}
    pairs = [pair for pair in ahead if pair.b in seen]
    names = list(dict.fromkeys(_words(pair.part) for pair in pairs))
    if len(names) < 2:
        raise StockpotError(f"the comparison has no differences to {ENSEMBLE} by part to draw.")
    methods = list(dict.fromkeys(pair.b for pair in pairs))
    axes = panels(
        ax,
        1,
        columns=1,
        size=(7.5, bands_height(len(names), len(methods))),
        question="How far is the ensemble above the others under a shift?",
    )
    dots = [Band(_words(pair.part), pair.b, pair.interval) for pair in pairs]
    bands(axes[0], dots, names, shown.unit, drawn)
    dress(axes[0], x=f"ensemble minus the other, {shown.unit.gap_label()}", grid="x")
    reference(axes[0], 0.0, "", flat=False)
    legend(ax, axes, methods, drawn)
    return axes[0]


def _name(row: Row) -> str:
    return _words(row.part)


def _words(part: str) -> str:
    return WHOLE if part == "all" else part
