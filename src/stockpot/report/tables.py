"""The tables of a comparison's page."""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from ..evaluation.results.comparison import NORMALISED, Comparison, Cost, Decision, Row
from ..evaluation.results.intervals import LEVEL, Difference
from ..pages.styles import detail_of, in_order
from ..pages.tables import (
    EMPTY,
    Column,
    Entry,
    R,
    Table,
    capital,
    count,
    interval_words,
    keyed,
    measured,
    measured_entry,
    sort_key,
    table,
    words,
)
from ..pages.units import Unit, show_bytes, show_count, show_probability, show_seconds
from .confusions import mistakes
from .decisions import greedy_runs
from .metric_rows import Cell, MetricRows, cell_of, metric_rows, most_averaged


class _Line(NamedTuple):
    """A line of the main table: what all its N have in common."""

    cell: Cell
    method: str
    seed: int
    subset: int


class _Place(NamedTuple):
    """Where a row stands: its cell, N, pool and subset."""

    cell: Cell
    n: int
    seed: int
    subset: int


_MethodAt = tuple[_Place, str]
"""A place, and the name of a method."""
_Evidence = tuple[Difference, float, str]
"""A difference, the p of what is claimed of it, and the claim in words."""
_Priced = tuple[Cell, str, int, int]
"""A cell, a method, N, and how many networks it runs."""


def results(shown: MetricRows, best: str = "") -> Table:
    """The main table: methods down, the best of the largest N first, and N across.

    Pools or subsets that were not averaged have rows of their own.

    Args:
        shown: its rows.
        best: the method that is said to be best.
    """
    grows = shown.grows()
    rows = in_order(shown.contenders() if grows else shown.rows)
    found = {(_line(row), row.n): row for row in rows}
    lines = _ranked(rows, shown)
    counts = sorted({row.n for row in rows})
    apart = len(lines) > len({(line.cell, line.method) for line in lines})
    tops = {(cell, n): _top(rows, cell, n, shown.unit) for cell in shown.cells() for n in counts}

    def value(n: int) -> Callable[[_Line], Entry]:
        def cell(line: _Line) -> Entry:
            row = found.get((line, n))
            if row is None:
                return EMPTY
            first = row.value == tops[line.cell, n]
            return replace(measured_entry(row, shown.unit), mark="best" if first else "")

        return cell

    def detail(line: _Line) -> str:
        row = next(found[line, n] for n in counts if (line, n) in found)
        return ", ".join(filter(None, (detail_of(row), "best here" if row.method == best else "")))

    def evaluations(line: _Line) -> int:
        return max(found[line, n].forwards for n in counts if (line, n) in found)

    of = "" if grows or len(counts) > 1 else f"{shown.split} {shown.unit.label()}"
    columns = [
        *_cells(shown.cells(), _cell_of_line),
        words("method", lambda line: line.method, detail),
        *_apart(apart, _pool_of_line),
    ]
    return table(
        _title(shown),
        f"{capital(shown.unit.label())} on the {shown.split} split{_better(shown.unit)}, with the "
        "95% interval under it; N is the number of networks that a method was given, evaluations "
        "are of networks, for one sample. The best of each N is bold.",
        lines,
        *columns,
        *(Column(of or f"N = {n}", value(n)) for n in counts),
        count("evaluations", evaluations),
        names=len(columns),
    )


def _ranked(rows: Sequence[Row], shown: MetricRows) -> list[_Line]:
    """Cell by cell the best at its largest N first; as they are, where no way is better."""
    last = {_line(row): row for row in sorted(rows, key=lambda row: row.n)}
    lines = list(dict.fromkeys(map(_line, rows)))
    if shown.unit.better:
        sign = 1 if shown.unit.better == "lower" else -1
        lines.sort(key=lambda one: sort_key(sign * last[one].value) or 0.0)
        lines.sort(key=lambda one: -last[one].n)
    return sorted(lines, key=lambda one: shown.cells().index(one.cell))


def _top(rows: Sequence[Row], cell: Cell, n: int, unit: Unit) -> float:
    """The best value of a column, which no control has; nothing where no way is better."""
    mine = [
        row.value
        for row in rows
        if (cell_of(row), row.n) == (cell, n) and row.kind != "control" and math.isfinite(row.value)
    ]
    if not unit.better or len(mine) < 2:
        return math.nan
    return min(mine) if unit.better == "lower" else max(mine)


def further_results(result: Comparison) -> tuple[Table, ...]:
    """The same of every other metric and split."""
    main = metric_rows(result)
    keys = dict.fromkeys((row.metric, row.split) for row in result.overall())
    shown = {(main.metric, main.split), (f"{NORMALISED} {main.metric}", main.split)}
    others = [key for key in keys if key not in shown]
    others.sort(key=lambda key: key[1] != main.split)
    return tuple(results(metric_rows(result, *key)) for key in others)


def parts(result: Comparison) -> Table | None:
    """The main metric on each part and view of the test split at the largest N, if it has any."""
    return _parts(result, result.parted(metric_rows(result).metric), "")


def further_parts(result: Comparison) -> Table | None:
    """The same of every smaller N."""
    shown = metric_rows(result)
    largest = {(cell_of(row), row.n) for row in result.parted(shown.metric)}
    rows = most_averaged(
        row
        for row in result.rows
        if (row.metric, row.split) == (shown.metric, "test") and largest
        if (cell_of(row), row.n) not in largest
    )
    return _parts(result, rows, " at every smaller N")


def _parts(result: Comparison, rows: Sequence[Row], which: str) -> Table | None:
    """Methods down and parts across, the whole split first."""
    if not rows:
        return None
    shown = metric_rows(result)
    found = {(*_place(row), row.method, row.part): row for row in rows}
    places = dict.fromkeys((_place(row), row.method) for row in in_order(rows))

    def value(part: str) -> Callable[[_MethodAt], Row | None]:
        return lambda row: found.get((*row[0], row[1], part))

    def cell(row: _MethodAt) -> Cell:
        return row[0].cell

    cells = _cells(shown.cells(), cell)

    title = f"{capital(shown.unit.label())} on each part and view of the test split{which}"
    caption = (
        f"{title}{_better(shown.unit)}, with the 95% interval under it. Nothing was chosen on a "
        "view."
    )
    return table(
        title,
        caption,
        list(places),
        *cells,
        words("method", lambda row: row[1]),
        count("N", lambda row: row[0].n),
        *(
            measured("whole" if part == "all" else part, value(part), shown.unit)
            for part in dict.fromkeys(row.part for row in rows)
        ),
        names=len(cells) + 1,
    )


def evidence(result: Comparison) -> Table | None:
    """What the verdict rests on: of each rival the claim, its difference and its p."""
    if result.verdict is None or not result.verdict.evidence:
        return None
    verdict, unit = result.verdict, metric_rows(result).unit
    # Files of earlier versions have no claims.
    claims = verdict.claims or ("",) * len(verdict.evidence)
    rows = [(*one, claim) for one, claim in zip(verdict.evidence, claims, strict=True)]
    claimed: list[Column[_Evidence]] = []
    if verdict.claims:
        claimed.append(words("claim", lambda row: row[2]))
    caption = (
        "On the same test samples, with the paired 95% interval under each difference. The choice "
        "is confirmed where every claim has a p below 5%: all must be shown, so none is corrected "
        "for their number."
    )
    return table(
        "What the verdict rests on",
        caption,
        rows,
        words("method", lambda row: row[0].a),
        words("minus", lambda row: row[0].b),
        Column(f"difference, {unit.gap_label()}", lambda row: _difference(row[0], unit)),
        *claimed,
        keyed("p", lambda row: row[1], show_probability),
        words("shown", lambda row: "yes" if row[1] < 1 - LEVEL else "no"),
        names=2,
    )


def differences(result: Comparison) -> Table | None:
    """The pairs of methods at the largest N."""
    pairs = [pair for pair in _of_largest(result) if pair.part == "all"]
    caption = (
        "Differences on the same test samples, with the paired 95% interval under each; p is of "
        "none, after Holm's correction for all pairs here. Told apart is what has a p below 5%."
    )
    title = ("Differences of every two methods", caption)
    return _pairs(pairs, metric_rows(result).unit, title)


def further_differences(result: Comparison) -> Table | None:
    """The pairs of methods at every smaller N."""
    largest = _of_largest(result)
    pairs = [pair for pair in result.differences if pair.part == "all" and pair not in largest]
    words = ("Differences at every smaller N", "The same for every smaller N.")
    return _pairs(pairs, metric_rows(result).unit, words)


def part_differences(result: Comparison) -> Table | None:
    """The pairs of methods on each part and view, at the largest N."""
    pairs = [pair for pair in _of_largest(result) if pair.part != "all"]
    words = (
        "Differences on each part and view",
        "Differences at the largest N on the same samples of each part, with the paired 95% "
        "interval under each.",
    )
    return _pairs(pairs, metric_rows(result).unit, words)


def _of_largest(result: Comparison) -> list[Difference]:
    most = max((pair.n for pair in result.differences), default=0)
    return [pair for pair in result.differences if pair.n == most]


def _pairs(pairs: Sequence[Difference], unit: Unit, title: tuple[str, str]) -> Table | None:
    if not pairs:
        return None
    tested: list[Column[Difference]] = []
    if any(not math.isnan(pair.p) for pair in pairs):
        tested.append(keyed("p, corrected", lambda pair: pair.p, show_probability))
    counted = any(pair.n for pair in pairs)
    parted = any(pair.part != "all" for pair in pairs)
    part: list[Column[Difference]] = []
    counts: list[Column[Difference]] = []
    if parted:
        part.append(words("part", lambda pair: pair.part))
    if counted:
        counts.append(count("N", lambda pair: pair.n or None))
    return table(
        *title,
        pairs,
        *part,
        words("method", lambda pair: pair.a),
        words("minus", lambda pair: pair.b),
        *counts,
        Column(f"difference, {unit.gap_label()}", lambda pair: _difference(pair, unit)),
        *tested,
        words("told apart", lambda pair: "yes" if pair.decided() else "no"),
        names=2 + len(part),
    )


def _difference(pair: Difference, unit: Unit) -> Entry:
    value = pair.interval.value
    return Entry(unit.show_difference(value), interval_words(pair.interval, unit), sort_key(value))


def costs(result: Comparison) -> Table:
    """What each method takes at each N: evaluations always, the rest where it was measured."""
    shown = metric_rows(result)
    known = {(Cell(one.network, one.data), one.method, one.n): one for one in result.costs}
    keys = dict.fromkeys(
        (cell_of(row), row.method, row.n, row.forwards) for row in in_order(shown.contenders())
    )

    def cell(row: _Priced) -> Cell:
        return row[0]

    def paid(row: _Priced) -> Cost | None:
        return known.get(row[:3])

    cells = _cells(shown.cells(), cell)
    caption = (
        "What one answer takes: network evaluations of one sample, and what is kept. A MAC is one "
        "multiply-add; counts of FLOP are twice as large. Times are of the machine of this run."
    )
    return table(
        "Costs",
        caption,
        list(keys),
        *cells,
        words("method", lambda row: row[1]),
        count("N", lambda row: row[2]),
        count("evaluations", lambda row: row[3]),
        *(_paid(paid) if known else ()),
        names=len(cells) + 1,
    )


def _paid(cost: Callable[[R], Cost | None]) -> tuple[Column[R], ...]:
    def of(field: str) -> Callable[[R], Any]:
        return lambda row: None if (paid := cost(row)) is None else getattr(paid, field)

    return (
        count("parameters", of("parameters"), show_count),
        count("MAC per sample", of("macs"), show_count),
        keyed("per 1,000 samples", of("seconds"), show_seconds),
        count("on disk", of("nbytes"), show_bytes),
    )


def decisions(result: Comparison) -> Table | None:
    """Every step of the greedy soups that are drawn."""
    runs = greedy_runs(result)
    if not runs:
        return None
    unit = metric_rows(result).unit
    steps = [(cell, seed, one) for (cell, seed), several in runs.items() for one in several]

    def cell_of_step(row: tuple[Cell, int, Decision]) -> Cell:
        return row[0]

    cells = _cells([cell for cell, _ in runs], cell_of_step)
    caption = (
        "Greedy soup, step by step: the score on the selection split with the candidate in the "
        "soup. Steps of smaller N and of other subsets are in results.json."
    )
    return table(
        "Every step of greedy soup",
        caption,
        steps,
        *cells,
        count("pool", lambda row: row[1]),
        count("step", lambda row: row[2].step),
        words("candidate", lambda row: row[2].candidate),
        keyed(f"selection {unit.label()}", lambda row: row[2].score, unit.show),
        words("decision", lambda row: "accepted" if row[2].accepted else "left out"),
        names=len(cells) + 2,
    )


def confusions(result: Comparison) -> Table | None:
    """The most frequent mistakes of the preferred method."""
    found = mistakes(result.confusion) if result.confusion else []
    if not found:
        return None
    title = "The most frequent mistakes"
    return table(
        title,
        f"{title}.",
        found,
        words("true class", lambda row: row[0]),
        words("said class", lambda row: row[1]),
        count("samples", lambda row: row[2]),
        Column("of the true class", _share),
        names=2,
    )


def _share(mistake: tuple[str, str, int, int]) -> Entry:
    *_, number, of = mistake
    return Entry(f"{100 * number / of:.1f}%", key=number / of)


def _line(row: Row) -> _Line:
    return _Line(cell_of(row), row.method, row.seed, row.subset)


def _place(row: Row) -> _Place:
    return _Place(cell_of(row), row.n, row.seed, row.subset)


def _cell_of_line(line: _Line) -> Cell:
    return line.cell


def _pool_of_line(line: _Line) -> tuple[int, int]:
    return line.seed, line.subset


def _apart(several: bool, pool: Callable[[R], tuple[int, int]]) -> tuple[Column[R], ...]:
    """The pool and the subset of a row, where there are several; averages have none."""
    if not several:
        return ()

    def part(place: int) -> Callable[[R], Entry]:
        def cell(row: R) -> Entry:
            number = pool(row)[place]
            return Entry("all", key=-1) if number < 0 else Entry(str(number), key=number)

        return cell

    return Column("pool", part(0)), Column("subset", part(1))


def _cells(cells: Iterable[Cell], cell: Callable[[R], Cell]) -> tuple[Column[R], ...]:
    """The network and the data of a row, where the comparison has several."""
    if len(set(cells)) < 2:
        return ()
    return (
        words("network", lambda row: cell(row).network or None),
        words("data", lambda row: cell(row).data or None),
    )


def _title(shown: MetricRows) -> str:
    return f"{capital(shown.unit.label())} on the {shown.split} split"


def _better(unit: Unit) -> str:
    return f" ({unit.better} is better)" if unit.better == "lower" else ""
