"""Quality, and the gap between ensemble and soup, against the number of networks."""

import math
from collections.abc import Iterable, Sequence
from typing import Any

from ..errors import StockpotError
from ..evaluation.results.comparison import ADAPTED, Comparison, Row
from ..pages.axes import dodges, dress, height_of, interval_bar, label_ends, panels, reference
from ..pages.styles import Style, family_of, in_order, styles
from ..pages.units import Unit
from .metric_rows import (
    AVERAGED,
    Cell,
    MetricRows,
    cell_of,
    drawable,
    metric_rows,
    most_averaged,
    single_cell,
    titles,
)

SOUPS = ("uniform-soup", "greedy-soup", "learned-soup")
ENSEMBLE = "logits-ensemble"

_SIDES = (
    (
        "one network's cost",
        frozenset({"uniform-soup", "greedy-soup", "merge", ADAPTED, "distilled"}),
    ),
    ("every member runs", frozenset({"ensemble", "features"})),
)
"""What the panels beside each other hold; single networks and controls stand in both."""


def plot_quality(result: Comparison, ax: Any = None) -> Any:
    """The metric against N, a line for each method, with its 95% intervals.

    In a figure of its own what costs one network stands left and ensembles right, single networks
    in both, on one scale unless that would flatten a panel; each network and data set of a sweep
    has a row of panels.

    Raises:
        StockpotError: without a finite value, or where `ax` would hold a whole sweep.
    """
    shown, drawn = metric_rows(result), styles(result)
    cells = _cells_with(shown.finite(), "quality")
    question = "What do more networks bring?"
    if ax is not None:
        single_cell(cells, "quality against N")
        _quality(
            panels(ax, 1, columns=1, size=(0, 0), question=question)[0], shown, drawn, cells[0]
        )
        return ax
    sides = [side for side in _SIDES if any(family_of(row) in side[1] for row in shown.finite())]
    sides = sides or [("", frozenset[str]())]
    most = max(len(_methods(shown, cell, side[1])) for cell in cells for side in sides)
    axes = panels(
        None,
        len(cells) * len(sides),
        columns=len(sides),
        size=(5.0, height_of(most)),
        question=question,
    )
    names = titles(cells, 26)
    for number, cell in enumerate(cells):
        row = axes[number * len(sides) : (number + 1) * len(sides)]
        for one, (words, families) in zip(row, sides, strict=True):
            limits, scale = _scale(shown, cell, families)
            title = ": ".join(part for part in (names[cell], words + scale) if part)
            _quality(one, shown, drawn, cell, families=families, title=title, limits=limits)
    return axes[0]


def _cells_with(rows: Iterable[Row], what: str) -> tuple[Cell, ...]:
    cells = tuple(dict.fromkeys(cell_of(row) for row in rows))
    if not cells:
        raise StockpotError(f"no value of the comparison is finite: no figure of {what}.")
    return cells


def _methods(shown: MetricRows, cell: Cell, families: frozenset[str] = frozenset()) -> list[str]:
    """Methods of a cell in order; with families, only theirs and those that stand everywhere."""
    wanted = families | {"single", "control"}
    rows = [row for row in in_order(shown.finite()) if cell_of(row) == cell]
    return list(
        dict.fromkeys(row.method for row in rows if not families or family_of(row) in wanted)
    )


def _scale(
    shown: MetricRows, cell: Cell, families: frozenset[str]
) -> tuple[tuple[float, float], str]:
    """The limits of a panel: its cell's, or its own where it would fill less than a third of them.

    The second is said in words, for the title.
    """
    whole, own = _limits(shown, cell), _limits(shown, cell, families)
    if 3 * (own[1] - own[0]) < whole[1] - whole[0]:
        return own, ", scale of its own"
    return whole, ""


def _limits(
    shown: MetricRows, cell: Cell, families: frozenset[str] = frozenset()
) -> tuple[float, float]:
    """A little more than the intervals of a cell reach; with families, of theirs."""
    methods = _methods(shown, cell, families)
    rows = [row for row in shown.finite() if cell_of(row) == cell and row.method in methods]
    ends = [end for row in rows for end in (row.low, row.value, row.high) if math.isfinite(end)]
    low, high = shown.unit.factor * min(ends), shown.unit.factor * max(ends)
    edge = 0.06 * (high - low) or max(abs(high), 1.0) * 0.05
    return low - edge, high + edge


def _quality(
    ax: Any,
    shown: MetricRows,
    drawn: dict[str, Style],
    cell: Cell,
    *,
    families: frozenset[str] = frozenset(),
    title: str = "",
    limits: tuple[float, float] | None = None,
) -> None:
    methods = _methods(shown, cell, families)
    rows = [row for row in shown.finite() if cell_of(row) == cell]
    ends: dict[str, tuple[float, float]] = {}
    for method, dodge in zip(methods, dodges(len(methods), 0.5), strict=True):
        mine = [row for row in rows if row.method == method]
        ends[method] = _line(ax, mine, shown, drawn[method], dodge)
    _count_axis(ax, shown.counts())
    ax.set_ylim(*(limits or _limits(shown, cell)))
    dress(ax, title=title, x="N, networks given to the method", y=_axis_words(shown))
    _chance(ax, shown.unit)
    label_ends(ax, ends, drawn)


def _line(
    ax: Any, rows: Sequence[Row], shown: MetricRows, style: Style, dodge: float
) -> tuple[float, float]:
    """One method's points, joined where each N has one; gives the last point."""
    place = {n: x for x, n in enumerate(shown.counts())}
    rows = sorted(rows, key=lambda row: row.n)
    xs = [place[row.n] + dodge for row in rows]
    ys = [shown.unit.factor * row.value for row in rows]
    for x, row in zip(xs, rows, strict=True):
        interval_bar(ax, row, shown.unit, style, x, flat=False)
    joined = style.dash if len({row.n for row in rows}) == len(rows) else "none"
    ax.plot(xs, ys, linestyle=joined, linewidth=1.4, **style.marks(5))
    return xs[-1], ys[-1]


def _count_axis(ax: Any, counts: Sequence[int]) -> None:
    ax.set_xticks(range(len(counts)), [str(n) for n in counts])
    ax.set_xlim(-0.5, len(counts) - 0.5)


def _axis_words(shown: MetricRows) -> str:
    better = f" ({shown.unit.better} is better)" if shown.unit.better == "lower" else ""
    return f"{shown.split} {shown.unit.label()}{better}"


def _chance(ax: Any, unit: Unit) -> None:
    if unit.chance is not None:
        reference(ax, unit.factor * unit.chance, "a guess")


def gaps(shown: MetricRows) -> dict[tuple[Cell, str], list[tuple[int, float]]]:
    """For each cell and soup: (N, ensemble minus soup), where both were measured with that N.

    With several rows of one N (pools that were not averaged) those of one pool are subtracted.
    """
    at = {
        (cell_of(row), row.method, row.n, row.seed, row.subset): row.value for row in shown.finite()
    }
    found: dict[tuple[Cell, str], list[tuple[int, float]]] = {}
    for (cell, method, n, seed, subset), value in at.items():
        above = at.get((cell, ENSEMBLE, n, seed, subset))
        if method.partition(":")[0] in SOUPS and above is not None and n > 1:
            found.setdefault((cell, method), []).append((n, above - value))
    return {key: sorted(points) for key, points in found.items()}


def trial_gaps(result: Comparison) -> dict[tuple[Cell, str], list[tuple[int, float]]]:
    """The same for each pool, and subset of it, where the comparison has them beside their mean."""
    shown = metric_rows(result)
    rows = tuple(
        row
        for row in result.overall()
        if (row.metric, row.split) == (shown.metric, shown.split)
        and row.seed != AVERAGED
        and drawable(row)
    )
    pools = most_averaged(rows, apart=lambda row: row.seed)
    return gaps(MetricRows(rows=pools, metric=shown.metric, split=shown.split, unit=shown.unit))


def plot_gap(result: Comparison, ax: Any = None) -> Any:
    """How far the logits ensemble is above each soup, against N; small dots are single trials.

    Raises:
        StockpotError: without a logits ensemble beside a soup, or where `ax` would hold a sweep.
    """
    shown, drawn = metric_rows(result), styles(result)
    lines, dots = gaps(shown), trial_gaps(result)
    cells = tuple(dict.fromkeys(cell for cell, _ in lines))
    if not cells:
        raise StockpotError(f"there is no {ENSEMBLE} beside a soup of equal N: no gap to draw.")
    if ax is not None:
        single_cell(cells, "the gap")
    axes = panels(
        ax,
        len(cells),
        columns=2,
        size=(5.0 if len(cells) > 1 else 7.0, 2.9),
        question="How far is the ensemble above the soup?",
    )
    for one, cell in zip(axes, cells, strict=True):
        mine = {method: points for (where, method), points in lines.items() if where == cell}
        _gap(one, mine, {m: dots.get((cell, m), []) for m in mine}, shown, drawn)
        dress(
            one,
            title=titles(cells)[cell],
            x="N, networks",
            y=f"ensemble minus soup, {shown.unit.gap_label()}",
        )
    return axes[0]


def _gap(
    ax: Any,
    lines: dict[str, list[tuple[int, float]]],
    dots: dict[str, list[tuple[int, float]]],
    shown: MetricRows,
    drawn: dict[str, Style],
) -> None:
    counts = sorted({n for points in lines.values() for n, _ in points})
    place = {n: x for x, n in enumerate(counts)}
    ends: dict[str, tuple[float, float]] = {}
    for (method, points), dodge in zip(lines.items(), dodges(len(lines), 0.2), strict=True):
        style = drawn[method]
        xs = [place[n] + dodge for n, _ in points]
        ys = [shown.unit.factor * gap for _, gap in points]
        for n, gap in dots[method]:
            if n in place:
                ax.plot([place[n] + dodge + 0.06], [shown.unit.factor * gap], **style.marks(2.2))
        joined = style.dash if len(set(xs)) == len(xs) else "none"
        ax.plot(xs, ys, linestyle=joined, linewidth=1.4, **style.marks(5))
        ends[method] = (xs[-1], ys[-1])
    _count_axis(ax, counts)
    low, high = ax.get_ylim()
    ax.set_ylim(min(low, -0.05 * (high - low)), max(high, 0.05 * (high - low)))
    reference(ax, 0.0, "")
    label_ends(ax, ends, drawn)
