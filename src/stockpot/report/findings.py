"""What each figure of a comparison shows, in numbers: the first words of its caption."""

import math
from collections.abc import Callable, Sequence

from ..evaluation.results.comparison import Attempt, Comparison, Row
from ..pages.tables import capital
from ..pages.units import Unit, plain
from .confusions import mistakes
from .curves import ENSEMBLE, gaps
from .decisions import greedy_runs
from .dispersion import largest
from .metric_rows import Cell, MetricRows, cell_of, drawable

_MOST = 4
"""Places that a caption names."""
_LONGEST = 60
"""Characters of a name in a caption; the tables have all of it."""


def best_of_all(_result: Comparison, shown: MetricRows) -> str:
    """The best contender, and the best single network."""
    rows = [row for row in shown.rows if drawable(row)]
    single = [row for row in rows if row.kind == "single"]
    best = _best(rows, shown.unit)
    said = f"Best is {_value(best, shown.unit)}"
    if single and best.kind != "single":
        said += f"; of single networks {_value(_best(single, shown.unit), shown.unit)}"
    return f"{said}."


def best_by_cell(_result: Comparison, shown: MetricRows) -> str:
    """Of each cell the best at its largest N."""

    def say(rows: Sequence[Row]) -> str:
        most = max(row.n for row in rows)
        best = _best([row for row in rows if row.n == most], shown.unit)
        return f"at N = {most} best is {_value(best, shown.unit)}"

    return _by(shown, lambda cell: cell.label(), say)


def best_by_network(_result: Comparison, shown: MetricRows) -> str:
    """Of each network the best, over its data sets."""
    return _by(shown, lambda cell: cell.network, lambda rows: _named(rows, shown.unit))


def best_by_data(_result: Comparison, shown: MetricRows) -> str:
    """Of each data set the best, over networks."""
    return _by(shown, lambda cell: cell.data, lambda rows: _named(rows, shown.unit))


def best_for_one(_result: Comparison, shown: MetricRows) -> str:
    """The best that costs one evaluation, and the best at any cost."""
    rows = shown.finite()
    one = [row for row in rows if row.forwards == 1]
    best = _best(rows, shown.unit)
    counted = "one evaluation" if best.forwards == 1 else f"{best.forwards} evaluations"
    said = f"The best of all, {_value(best, shown.unit)}, takes {counted}"
    if one and best.forwards != 1:
        said += f"; the best that takes one is {_value(_best(one, shown.unit), shown.unit)}"
    return f"{said}."


def gap_at_most(_result: Comparison, shown: MetricRows) -> str:
    """How far the ensemble is above each soup at the largest N, over cells."""
    ends: dict[str, list[float]] = {}
    for (_, method), points in gaps(shown).items():
        most = max(n for n, _ in points)
        ends.setdefault(method, []).extend(gap for n, gap in points if n == most)
    said = [
        f"{shown.unit.show_difference(math.fsum(many) / len(many))} above {_short(method)}"
        for method, many in list(ends.items())[:_MOST]
    ]
    return (
        f"At the largest N {ENSEMBLE} is, on average, {', '.join(said)} ({shown.unit.gap_label()})."
    )


def worst_part(result: Comparison, shown: MetricRows) -> str:
    """The part on which the best method is worst."""
    rows = [row for row in result.parted(shown.metric) if drawable(row)]
    tops = {
        part: _best([row for row in rows if row.part == part], shown.unit)
        for part in dict.fromkeys(row.part for row in rows)
    }
    low = _best(list(tops.values()), shown.unit, worst=True)
    where = "whole test split" if low.part == "all" else f"part {_short(low.part)}"
    return f"Hardest is the {where}: best there is {_value(low, shown.unit)}."


def told_apart(result: Comparison, _shown: MetricRows) -> str:
    """How many differences to the ensemble are told from none."""
    most = max(pair.n for pair in result.differences)
    every = [one for one in result.differences if (one.n, one.a) == (most, ENSEMBLE)]
    drawn = {one.b for one in every if one.part != "all"}
    pairs = [one for one in every if one.b in drawn]
    ahead = sum(one.decided() and one.interval.value > 0 for one in pairs)
    behind = sum(one.decided() and one.interval.value < 0 for one in pairs)
    return (
        f"Of {len(pairs)} differences {ahead} are told apart with the ensemble ahead and {behind} "
        "with it behind."
    )


def scales_apart(result: Comparison, _shown: MetricRows) -> str:
    """The method whose best scales lie furthest apart."""
    most = max(largest(result), key=lambda one: one.spread)
    return (
        f"Best scales lie furthest apart for {_short(most.method)}: a standard deviation of "
        f"{most.spread:.2f} over tasks around {most.common:g} for all."
    )


def accepted(result: Comparison, _shown: MetricRows) -> str:
    """How many candidates greedy soups have taken."""
    runs = list(greedy_runs(result).values())
    taken, tried = sum(one.accepted for steps in runs for one in steps), sum(map(len, runs))
    several = f" in {len(runs)} soups" if len(runs) > 1 else ""
    return f"{taken} of {tried} candidates were accepted{several}."


def best_trial(result: Comparison, shown: MetricRows) -> str:
    """The best score, and when it was found."""
    best = _leader(result, shown.unit)
    scored = sum(math.isfinite(one.score) for one in result.attempts)
    return (
        f"The best score, {shown.unit.show(best.score)} ({shown.unit.label()}), is of "
        f"{_trial(result, best)}; {scored} of {len(result.attempts)} have a score."
    )


def best_values(result: Comparison, shown: MetricRows) -> str:
    """What the best trial was."""
    best = _leader(result, shown.unit)
    values = [
        f"{_short(name)} = {value:.4g}" if isinstance(value, float) else f"{_short(name)} = {value}"
        for name, value in best.values
        if value is not None
    ]
    said = ", ".join(plain(one, 80).replace(r"\$", "$") for one in values[:_MOST])
    return f"{capital(_trial(result, best))} is best: {said or 'no field of its own'}."


def worst_mistake(result: Comparison, _shown: MetricRows) -> str:
    """The most frequent mistake."""
    assert result.confusion
    counts = result.confusion.counts
    wrong = sum(sum(line) - line[place] for place, line in enumerate(counts))
    said = f"{wrong} of {sum(map(sum, counts))} samples are wrong"
    found = mistakes(result.confusion, 1)
    if found:
        true, taken, count, of = found[0]
        said += f"; most often {_short(true)} is taken for {_short(taken)}, {count} of {of} times"
    return f"{said}."


def _leader(result: Comparison, unit: Unit) -> Attempt:
    """The best of all searches; of equal ones the first."""
    finite = [one for one in result.attempts if math.isfinite(one.score)]
    pick = min if unit.better == "lower" else max
    return pick(finite, key=lambda one: one.score)


def _trial(result: Comparison, best: Attempt) -> str:
    """A trial by as much of its name as tells it from those of other searches."""
    said, tried = [f"trial {best.number}"], result.attempts
    if len({one.method for one in tried}) > 1:
        said[0] += f" of {_short(best.method)}"
    if len({(one.network, one.data) for one in tried}) > 1:
        said.append(f"{_short(best.network)} on {_short(best.data)}")
    if len({one.n for one in tried}) > 1:
        said.append(f"N = {best.n}")
    if len({(one.seed, one.subset) for one in tried}) > 1:
        said.append(f"pool {best.seed}, subset {best.subset}")
    return ", ".join(said)


def _by(shown: MetricRows, name: Callable[[Cell], str], say: Callable[[Sequence[Row]], str]) -> str:
    """One finding for each group of cells, of the first four."""
    groups: dict[str, list[Row]] = {}
    for row in shown.finite():
        groups.setdefault(name(cell_of(row)), []).append(row)
    said = [
        f"{_short(group)}: {say(rows)}" if group else say(rows).capitalize()
        for group, rows in list(groups.items())[:_MOST]
    ]
    return f"{'; '.join(said)}{' ...' if len(groups) > _MOST else ''}."


def _named(rows: Sequence[Row], unit: Unit) -> str:
    return f"best is {_value(_best(rows, unit), unit)}"


def _best(rows: Sequence[Row], unit: Unit, *, worst: bool = False) -> Row:
    pick = min if (unit.better == "lower") is not worst else max
    return pick(rows, key=lambda row: row.value)


def _value(row: Row, unit: Unit) -> str:
    return f"{_short(row.method)}, {unit.show(row.value)}{unit.sign if unit.sign == '%' else ''}"


def _short(name: str) -> str:
    return plain(name, _LONGEST).replace(r"\$", "$")
