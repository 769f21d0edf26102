"""What of a comparison is shown: one metric on one split, each result averaged as far as it is.

A comparison may hold a result several times: of each subset, of each pool, and their mean. Figures
and tables take the most averaged one; nothing is averaged here.
"""

import math
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass, replace

from ..errors import StockpotError
from ..evaluation.results.comparison import MEMBER, Comparison, Cost, Decision, Row
from ..pages.units import Unit, readable, short, unit_of

AVERAGED = -1
"""The subset of a row over several subsets, and the seed of one over several pools."""

SECONDARY = frozenset({"nll", "ece"})
"""Metrics that say how sure a network is, not how good; shown after the others."""


@dataclass(frozen=True, slots=True)
class Cell:
    """One network on one data set: a place in the grid of a sweep."""

    network: str
    data: str

    def label(self) -> str:
        """In words; empty where the comparison does not name them."""
        return " on ".join(readable(name) for name in (self.network, self.data) if name)


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricRows:
    """The rows of one metric on one split.

    Attributes:
        rows: the most averaged row of each result, ingredients by themselves included.
        metric, split: which.
        unit: the metric's.
    """

    rows: tuple[Row, ...]
    metric: str
    split: str
    unit: Unit

    def cells(self) -> tuple[Cell, ...]:
        """The networks and data sets, in the order of the rows."""
        return tuple(dict.fromkeys(cell_of(row) for row in self.rows))

    def contenders(self) -> tuple[Row, ...]:
        """The rows that are not one ingredient by itself."""
        return tuple(row for row in self.rows if not row.method.startswith(MEMBER))

    def finite(self) -> tuple[Row, ...]:
        """The contenders that can be drawn."""
        return tuple(row for row in self.contenders() if drawable(row))

    def counts(self) -> tuple[int, ...]:
        """Every N, ascending."""
        return tuple(sorted({row.n for row in self.contenders()}))

    def grows(self) -> bool:
        """Whether any method was given more than one N in a cell."""
        keys = [(cell_of(row), row.method) for row in self.contenders()]
        pairs = {(*key, row.n) for key, row in zip(keys, self.contenders(), strict=True)}
        return len(pairs) > len(set(keys))


def drawable(row: Row) -> bool:
    """Whether the row's value is finite; it may have no interval."""
    return math.isfinite(row.value)


def cell_of(row: Row) -> Cell:
    """Where in the grid of a sweep the row stands."""
    return Cell(row.network, row.data)


def metric_rows(
    result: Comparison, metric: str | None = None, split: str | None = None
) -> MetricRows:
    """The rows of a metric on a split; by default the main metric on the test split.

    The main metric is the first that says how good a network is, in the order of the rows. Where
    nothing was measured on the test split, the first split is taken.

    Raises:
        StockpotError: where the comparison has no such row.
    """
    overall = result.overall()
    if split is None:
        splits = [row.split for row in overall]
        split = "test" if "test" in splits else next(iter(splits), "test")
    if metric is None:
        metrics = [row.metric for row in overall if row.split == split]
        metric = next((one for one in metrics if one not in SECONDARY), next(iter(metrics), ""))
    rows = most_averaged(row for row in overall if (row.metric, row.split) == (metric, split))
    if not rows:
        raise StockpotError(
            f"'{result.title}' has no row of the metric '{metric}' on the {split} split over the "
            f"part 'all': there is nothing to show."
        )
    return MetricRows(rows=rows, metric=metric, split=split, unit=unit_of(metric))


def most_averaged(
    rows: Iterable[Row], apart: Callable[[Row], Hashable] = lambda _row: None
) -> tuple[Row, ...]:
    """Of the rows of one result, those over most pools, then over most subsets.

    Args:
        rows: of any split, part and metric.
        apart: rows for which it differs are results of their own.
    """
    rows = tuple(rows)

    def level(row: Row) -> tuple[bool, bool]:
        return row.seed == AVERAGED, row.subset == AVERAGED

    def key(row: Row) -> Hashable:
        return apart(row), cell_of(row), row.split, row.part, row.metric, row.method, row.n

    highest: dict[Hashable, tuple[bool, bool]] = {}
    for row in rows:
        highest[key(row)] = max(level(row), highest.get(key(row), (False, False)))
    return tuple(row for row in rows if level(row) == highest[key(row)])


def only(result: Comparison, *, network: str | None = None, data: str | None = None) -> Comparison:
    """The part of a sweep that is about one network, one data set, or both.

    Differences, the verdict and the confusion are of the whole comparison and are left out.
    """

    def wanted(one: Row | Cost | Decision) -> bool:
        return network in (None, one.network) and data in (None, one.data)

    return replace(
        result,
        rows=tuple(filter(wanted, result.rows)),
        costs=tuple(filter(wanted, result.costs)),
        decisions=tuple(filter(wanted, result.decisions)),
        differences=(),
        conclusion="",
        confusion=None,
        verdict=None,
    )


def titles(cells: Sequence[Cell], longest: int = 44) -> dict[Cell, str]:
    """What panels of these cells are called: only what is not the same in all of them."""
    networks = list(dict.fromkeys(cell.network for cell in cells))
    data = list(dict.fromkeys(cell.data for cell in cells))
    room = longest if len(networks) == 1 or len(data) == 1 else longest * 5 // 11
    of_network = dict(zip(networks, short(networks, room), strict=True))
    of_data = dict(zip(data, short(data, room), strict=True))
    return {
        cell: " on ".join(
            word
            for word, several in (
                (of_network[cell.network], len(networks) > 1),
                (of_data[cell.data], len(data) > 1),
            )
            if word and several
        )
        for cell in cells
    }


def single_cell(cells: Sequence[Cell], what: str) -> None:
    """Check that there is one cell, because there is one Axes to draw it on.

    Raises:
        StockpotError: where there are several.
    """
    if len(cells) > 1:
        raise StockpotError(
            f"one Axes holds one panel of {what}; this comparison has {len(cells)}: "
            f"{', '.join(cell.label() for cell in cells[:4])}"
            f"{' ...' if len(cells) > 4 else ''}. Draw without `ax`, or narrow the comparison with "
            f"only(result, network=..., data=...)."
        )
