"""Figures of quality, as values: at a glance, against N, by network, data set, part, and cost."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import get_args

from ..evaluation.results.comparison import (
    ADAPTED,
    INDIVIDUAL,
    Comparison,
    Cost,
    Kind,
    Row,
)
from ..pages.figures import Axis, Dots, Level, Lines, Panel, Series, series
from ..pages.styles import FAMILIES, TABLE_1, Style, family_of, in_order, styles
from ..pages.units import show_count
from .metric_rows import (
    AVERAGED,
    Cell,
    MetricRows,
    cell_of,
    drawable,
    metric_rows,
    most_averaged,
    titles,
)

SOUPS = ("uniform-soup", "greedy-soup", "learned-soup")
ENSEMBLE = "logits-ensemble"
WHOLE = "whole test split"
"""What the part that is all of it is called."""
_MAIN = ("single-mean", "single-best", "uniform-soup", "greedy-soup", "distilled", ENSEMBLE)
_KINDS = get_args(Kind)
_EVERYWHERE = frozenset({"single", "control"})
_SIDES = (
    (
        "one network's cost",
        frozenset({"uniform-soup", "greedy-soup", "merge", ADAPTED, "distilled"}),
    ),
    ("every member runs", frozenset({"ensemble", "features"})),
)
"""What the panels beside each other hold; single networks and controls stand in both."""


def contenders(shown: MetricRows) -> Dots:
    """The metric of each contender with its interval, best at the top of its kind."""
    sign = 1 if shown.unit.better == "lower" else -1
    rows = [row for row in shown.rows if drawable(row)]
    rows.sort(key=lambda row: (_KINDS.index(row.kind), sign * row.value))
    families = [key for key in FAMILIES if any(family_of(row) == key for row in rows)]
    drawn: list[Series] = []
    for key in families:
        mine = [(place, row) for place, row in enumerate(rows) if family_of(row) == key]
        labels = [
            shown.unit.show(row.value)
            + (f", {row.forwards} evaluations" if row.forwards > 1 else "")
            for _, row in mine
        ]
        style = Style(FAMILIES[key].colour, FAMILIES[key].marker)
        drawn.append(
            series(
                FAMILIES[key].words,
                [place for place, _ in mine],
                [row for _, row in mine],
                style,
                factor=shown.unit.factor,
                labels=labels,
            )
        )
    names = tuple(row.method for row in rows)
    return Dots(series=tuple(drawn), names=names, x=Axis(_words(shown)))


def quality(result: Comparison, shown: MetricRows) -> list[Lines]:
    """The metric against N, a line for each method, with its 95% intervals.

    What costs one network stands left and ensembles right, single networks in both, on one scale
    unless that would flatten a panel; each network and data set of a sweep has panels of its own.
    """
    cells = list(dict.fromkeys(map(cell_of, shown.finite())))
    sides = [side for side in _SIDES if any(family_of(row) in side[1] for row in shown.finite())]
    names, drawn, counts = titles(cells, 26), styles(result), shown.counts()
    panels: list[Lines] = []
    for cell in cells:
        for words, families in sides or [("", frozenset[str]())]:
            rows = _rows(shown, cell, families)
            limits, scale = _scale(shown, cell, families)
            lines = [
                _line(method, [row for row in rows if row.method == method], shown, drawn[method])
                for method in dict.fromkeys(row.method for row in rows)
            ]
            panels.append(
                Lines(
                    series=tuple(lines),
                    x=Axis("N, networks given to the method", names=tuple(map(str, counts))),
                    y=Axis(_words(shown), limits=limits),
                    title=": ".join(part for part in (names[cell], words + scale) if part),
                    levels=_chance(shown),
                )
            )
    return panels


def _line(method: str, rows: Sequence[Row], shown: MetricRows, style: Style) -> Series:
    """One method's points, joined where each N has one."""
    rows = sorted(rows, key=lambda row: row.n)
    joined = len({row.n for row in rows}) == len(rows)
    places = [shown.counts().index(row.n) for row in rows]
    look = style if joined else Style(style.colour, style.marker, "none", style.hollow)
    return series(method, places, rows, look, factor=shown.unit.factor)


def _rows(shown: MetricRows, cell: Cell, families: frozenset[str] = frozenset()) -> list[Row]:
    """Rows of a cell in order; with families, only theirs and those that stand everywhere."""
    rows = [row for row in in_order(shown.finite()) if cell_of(row) == cell]
    return [row for row in rows if not families or family_of(row) in families | _EVERYWHERE]


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
    rows = _rows(shown, cell, families)
    ends = [end for row in rows for end in (row.low, row.value, row.high) if math.isfinite(end)]
    low, high = shown.unit.factor * min(ends), shown.unit.factor * max(ends)
    edge = 0.06 * (high - low) or max(abs(high), 1.0) * 0.05
    return low - edge, high + edge


def _words(shown: MetricRows) -> str:
    better = f" ({shown.unit.better} is better)" if shown.unit.better == "lower" else ""
    return f"{shown.split} {shown.unit.label()}{better}"


def _chance(shown: MetricRows) -> tuple[Level, ...]:
    chance = shown.unit.chance
    return () if chance is None else (Level(shown.unit.factor * chance, "a guess"),)


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


def gap(result: Comparison, shown: MetricRows) -> list[Lines]:
    """How far the logits ensemble is above each soup, against N; small dots are single trials."""
    lines, dots, drawn = gaps(shown), trial_gaps(result), styles(result)
    cells = list(dict.fromkeys(cell for cell, _ in lines))
    panels: list[Lines] = []
    for cell in cells:
        counts = sorted(
            {n for (where, _), points in lines.items() if where == cell for n, _ in points}
        )
        mine: list[Series] = []
        for (where, method), points in lines.items():
            if where != cell:
                continue
            look = drawn[method]
            trials = [point for point in dots.get((cell, method), []) if point[0] in counts]
            small = Style(look.colour, look.marker, "none", look.hollow, size=2.2)
            joined = len({n for n, _ in points}) == len(points)
            whole = look if joined else Style(look.colour, look.marker, "none", look.hollow)
            for name, some, style in (("", trials, small), (method, points, whole)):
                mine.append(
                    Series(
                        name=name,
                        x=tuple(counts.index(n) for n, _ in some),
                        value=tuple(shown.unit.factor * apart for _, apart in some),
                        style=style,
                    )
                )
        panels.append(
            Lines(
                series=tuple(mine),
                x=Axis("N, networks", names=tuple(map(str, counts))),
                y=Axis(f"ensemble minus soup, {shown.unit.gap_label()}"),
                title=titles(cells)[cell],
                levels=(Level(0.0),),
            )
        )
    return panels


def networks(result: Comparison, shown: MetricRows) -> list[Panel]:
    """The metric of each method at the largest N, architecture by architecture.

    The methods are those of the paper's Table 1 and the best single network, where there are any of
    them and no individual networks of several tasks; otherwise all. Each data set has a panel.
    """
    return _by(result, shown, lambda row: row.network, lambda row: row.data)


def data_sets(result: Comparison, shown: MetricRows) -> list[Panel]:
    """The metric of each method at the largest N, data set by data set, as `networks`."""
    return _by(result, shown, lambda row: row.data, lambda row: row.network)


def _by(
    result: Comparison,
    shown: MetricRows,
    down: Callable[[Row], str],
    across: Callable[[Row], str],
) -> list[Panel]:
    rows = _largest(shown)
    return [
        _bands(
            [(down(row), row.method, row) for row in rows if across(row) == group],
            result,
            shown,
            _words(shown),
            group,
        )
        for group in dict.fromkeys(map(across, rows))
    ]


def _bands(
    dots: Sequence[tuple[str, str, Row]], result: Comparison, shown: MetricRows, x: str, title: str
) -> Dots:
    """Names under each other, the methods of one name side by side."""
    names, drawn = list(dict.fromkeys(name for name, _, _ in dots)), styles(result)
    found = [
        series(
            method,
            [names.index(name) for name, other, _ in dots if other == method],
            [row for _, other, row in dots if other == method],
            drawn[method],
            factor=shown.unit.factor,
        )
        for method in dict.fromkeys(method for _, method, _ in dots)
    ]
    return Dots(series=tuple(found), names=tuple(names), x=Axis(x), title=title)


def _largest(shown: MetricRows) -> list[Row]:
    """The rows of each cell's largest N, of the main methods."""
    rows = in_order(shown.finite())
    most = {cell: max(row.n for row in rows if cell_of(row) == cell) for cell in map(cell_of, rows)}
    main = {*TABLE_1, "single-best"}
    kept = [row for row in rows if row.n == most[cell_of(row)]]
    if any(row.method == INDIVIDUAL for row in kept):
        return kept
    return [row for row in kept if row.method in main] or kept


def parts(result: Comparison, shown: MetricRows) -> list[Panel]:
    """The metric of each main method at the largest N, part by part, the whole test split first."""
    rows = [row for row in in_order(result.parted(shown.metric)) if drawable(row)]
    rows = [row for row in rows if row.method.partition(":")[0] in _MAIN] or rows
    cells = list(dict.fromkeys(map(cell_of, rows)))
    return [
        _bands(
            [(_part(row.part), row.method, row) for row in rows if cell_of(row) == cell],
            result,
            shown,
            f"test {shown.unit.label()}",
            titles(cells)[cell],
        )
        for cell in cells
    ]


def part_gaps(result: Comparison, shown: MetricRows) -> Dots:
    """How far the logits ensemble is above each other method, part by part, at the largest N.

    Differences are paired: on each part both methods saw the same samples.
    """
    most, drawn = max(pair.n for pair in result.differences), styles(result)
    ahead = [pair for pair in result.differences if (pair.n, pair.a) == (most, ENSEMBLE)]
    seen = {pair.b for pair in ahead if pair.part != "all"}
    pairs = [pair for pair in ahead if pair.b in seen]
    names = list(dict.fromkeys(_part(pair.part) for pair in pairs))
    found = [
        series(
            method,
            [names.index(_part(pair.part)) for pair in pairs if pair.b == method],
            [pair.interval for pair in pairs if pair.b == method],
            drawn[method],
            factor=shown.unit.factor,
        )
        for method in dict.fromkeys(pair.b for pair in pairs)
    ]
    words = f"ensemble minus the other, {shown.unit.gap_label()}"
    zero = (Level(0.0, along="x"),)
    return Dots(series=tuple(found), names=tuple(names), x=Axis(words), levels=zero)


def _part(part: str) -> str:
    return WHOLE if part == "all" else part


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


def cost(result: Comparison, shown: MetricRows) -> list[Lines]:
    """The metric against what one sample costs, each method at its largest N, by family.

    Those that nothing cheaper is as good as have their names.
    """
    priced, words = prices(in_order(shown.finite()), result.costs)
    cells = list(dict.fromkeys(cell_of(one.row) for one in priced))
    return [
        Lines(
            series=_by_family([p for p in priced if cell_of(p.row) == cell], shown),
            x=Axis(words, "log", names=_tick_names(priced), ticks=_ticks(priced)),
            y=Axis(_words(shown)),
            title=titles(cells)[cell],
            width=5.6,
        )
        for cell in cells
    ]


def _by_family(priced: Sequence[Priced], shown: MetricRows) -> tuple[Series, ...]:
    most = {
        one.row.method: max(p.row.n for p in priced if p.row.method == one.row.method)
        for one in priced
    }
    kept = sorted(
        (one for one in priced if one.row.n == most[one.row.method]), key=lambda p: p.price
    )
    front, best = set[str](), -math.inf
    better = -1 if shown.unit.better == "lower" else 1
    for price in dict.fromkeys(one.price for one in kept):
        top = max((p for p in kept if p.price == price), key=lambda p: better * p.row.value)
        if better * top.row.value > best:
            front.add(top.row.method)
            best = better * top.row.value
    same = {price: [p for p in kept if p.price == price] for price in {p.price for p in kept}}
    drawn: list[Series] = []
    for key in dict.fromkeys(family_of(one.row) for one in kept):
        mine = [one for one in kept if family_of(one.row) == key]
        beside = [1.03 ** (same[p.price].index(p) - (len(same[p.price]) - 1) / 2) for p in mine]
        drawn.append(
            series(
                FAMILIES[key].words,
                [one.price * step for one, step in zip(mine, beside, strict=True)],
                [one.row for one in mine],
                Style(FAMILIES[key].colour, FAMILIES[key].marker, "none"),
                factor=shown.unit.factor,
                labels=[one.row.method if one.row.method in front else "" for one in mine],
            )
        )
    return tuple(drawn)


def _ticks(priced: Sequence[Priced]) -> tuple[float, ...]:
    """Prices whose labels have room: each at least a quarter above the one before."""
    kept: list[float] = []
    for tick in sorted({one.price for one in priced}):
        if not kept or tick >= 1.25 * kept[-1]:
            kept.append(tick)
    return tuple(kept)


def _tick_names(priced: Sequence[Priced]) -> tuple[str, ...]:
    return tuple(show_count(round(tick)) for tick in _ticks(priced))
