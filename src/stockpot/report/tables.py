"""The tables of a comparison's page."""

from collections.abc import Iterable, Mapping, Sequence

from ..evaluation.results.comparison import NORMALISED, Comparison, Cost, Row
from ..evaluation.results.intervals import Difference
from ..pages.styles import detail_of, in_order
from ..pages.tables import EMPTY, Entry, Table, capital, interval_words, sort_key, value_entry
from ..pages.units import Unit, readable, show_bytes, show_count, show_probability, show_seconds
from .confusions import mistakes
from .decisions import greedy_runs
from .metric_rows import Cell, View, cell_of, most_averaged, view


def results(shown: View) -> Table:
    """The main table: N down and methods across, or methods down where there is one N only."""
    if len(shown.cells()) == 1 and not shown.grows():
        return _by_method(shown)
    return _by_count(shown)


def _by_count(shown: View) -> Table:
    """A row for each cell and N, a column for each method, Table 1's first.

    Pools or subsets that were not averaged have rows of their own.
    """
    rows = in_order(shown.contenders())
    methods = {row.method: detail_of(row) for row in rows}
    found = {(*_place(row), row.method): row for row in rows}
    places = sorted({_place(row): None for row in rows}, key=lambda one: one[1:])
    places.sort(key=lambda one: shown.cells().index(one[0]))
    names = _naming(shown.cells())
    apart = len({(place[0], place[1]) for place in places}) < len(places)
    headings = [*names, Entry("N"), *([Entry("pool"), Entry("subset")] if apart else [])]
    lines = tuple(
        (
            *_named(cell, len(names)),
            Entry(str(n), key=n),
            *([_part(seed), _part(subset)] if apart else []),
            *(
                value_entry(found.get((cell, n, seed, subset, method)), shown.unit)
                for method in methods
            ),
        )
        for cell, n, seed, subset in places
    )
    columns = tuple(Entry(readable(name), detail) for name, detail in methods.items())
    caption = (
        f"{capital(shown.unit.label())} on the {shown.split} split{_better(shown.unit)}, with the "
        f"95% interval under it. N is the number of networks that a method was given."
    )
    return Table(_title(shown), caption, (*headings, *columns), lines, names=len(headings))


def _by_method(shown: View) -> Table:
    rows = in_order(shown.rows)
    lines = tuple(
        (
            Entry(readable(row.method), detail_of(row)),
            Entry(str(row.n), key=row.n),
            *([_part(row.seed), _part(row.subset)] if len(rows) > len(_methods(rows)) else []),
            value_entry(row, shown.unit),
            Entry(str(row.forwards), key=row.forwards),
        )
        for row in rows
    )
    apart = [Entry("pool"), Entry("subset")] if len(rows) > len(_methods(rows)) else []
    headings = (
        Entry("method"),
        Entry("N"),
        *apart,
        Entry(f"{shown.split} {shown.unit.label()}"),
        Entry("evaluations"),
    )
    caption = (
        f"{capital(shown.unit.label())} on the {shown.split} split{_better(shown.unit)}, with the "
        f"95% interval under it; evaluations are of networks, for one sample."
    )
    return Table(_title(shown), caption, headings, lines)


def further_results(result: Comparison) -> tuple[Table, ...]:
    """The same of every other metric and split."""
    main = view(result)
    keys = dict.fromkeys((row.metric, row.split) for row in result.overall())
    shown = {(main.metric, main.split), (f"{NORMALISED} {main.metric}", main.split)}
    others = [key for key in keys if key not in shown]
    others.sort(key=lambda key: key[1] != main.split)
    return tuple(results(view(result, *key)) for key in others)


def parts(result: Comparison) -> Table | None:
    """The main metric on each part and view of the test split at the largest N, if it has any."""
    return _parts(result, result.parted(view(result).metric), "")


def further_parts(result: Comparison) -> Table | None:
    """The same of every smaller N."""
    shown = view(result)
    largest = {(cell_of(row), row.n) for row in result.parted(shown.metric)}
    rows = most_averaged(
        row
        for row in result.rows
        if (row.metric, row.split) == (shown.metric, "test") and largest
        if (cell_of(row), row.n) not in largest
    )
    return _parts(result, rows, " at every smaller N")


def _parts(result: Comparison, rows: Sequence[Row], words: str) -> Table | None:
    """Methods down and parts across, the whole split first."""
    if not rows:
        return None
    shown = view(result)
    names = list(dict.fromkeys(row.part for row in rows))
    naming = _naming(shown.cells())
    found = {(*_place(row), row.method, row.part): row for row in rows}
    places = dict.fromkeys((*_place(row), row.method) for row in in_order(rows))
    lines = tuple(
        (
            *_named(place[0], len(naming)),
            Entry(readable(place[4])),
            Entry(str(place[1]), key=place[1]),
            *(value_entry(found.get((*place, part)), shown.unit) for part in names),
        )
        for place in places
    )
    across = (Entry("whole" if one == "all" else readable(one)) for one in names)
    title = f"{capital(shown.unit.label())} on each part and view of the test split{words}"
    caption = (
        f"{title}{_better(shown.unit)}, with the 95% interval under it. Nothing was chosen on a "
        "view."
    )
    headings = (*naming, Entry("method"), Entry("N"), *across)
    return Table(title, caption, headings, lines, names=len(naming) + 1)


def differences(result: Comparison) -> Table | None:
    """The verdict's evidence with its p-values, and the pairs of methods at the largest N."""
    tested = dict(result.verdict.evidence) if result.verdict else {}
    largest = [pair for pair in _of_largest(result) if pair.part == "all"]
    pairs = dict.fromkeys([*tested, *largest])
    caption = (
        "Differences on the same test samples, with the paired 95% interval under each; p-values "
        "after Holm's correction, where the verdict rests on them."
    )
    return _pairs(list(pairs), tested, view(result).unit, ("Differences", caption))


def further_differences(result: Comparison) -> Table | None:
    """The pairs of methods at every smaller N."""
    largest = _of_largest(result)
    pairs = [pair for pair in result.differences if pair.part == "all" and pair not in largest]
    words = ("Differences at every smaller N", "The same for every smaller N.")
    return _pairs(pairs, {}, view(result).unit, words)


def part_differences(result: Comparison) -> Table | None:
    """The pairs of methods on each part and view, at the largest N."""
    pairs = [pair for pair in _of_largest(result) if pair.part != "all"]
    words = (
        "Differences on each part and view",
        "Differences at the largest N on the same samples of each part, with the paired 95% "
        "interval under each.",
    )
    return _pairs(pairs, {}, view(result).unit, words)


def _of_largest(result: Comparison) -> list[Difference]:
    most = max((pair.n for pair in result.differences), default=0)
    return [pair for pair in result.differences if pair.n == most]


def _pairs(
    pairs: Sequence[Difference],
    tested: Mapping[Difference, float],
    unit: Unit,
    words: tuple[str, str],
) -> Table | None:
    if not pairs:
        return None
    counted = any(pair.n for pair in pairs)
    parted = any(pair.part != "all" for pair in pairs)
    headings = (
        *([Entry("part")] if parted else []),
        Entry("method"),
        Entry("minus"),
        *([Entry("N")] if counted else []),
        Entry(f"difference, {unit.gap_label()}"),
        *([Entry("p, corrected")] if tested else []),
        Entry("told apart"),
    )
    lines = tuple(
        (
            *([Entry(readable(pair.part))] if parted else []),
            Entry(readable(pair.a)),
            Entry(readable(pair.b)),
            *([Entry(str(pair.n), key=pair.n) if pair.n else EMPTY] if counted else []),
            Entry(
                unit.show_difference(pair.interval.value),
                interval_words(pair.interval, unit),
                sort_key(pair.interval.value),
            ),
            *([_p_value(tested.get(pair))] if tested else []),
            Entry("yes" if pair.decided() else "no"),
        )
        for pair in pairs
    )
    return Table(*words, headings, lines, names=2 + parted)


def _p_value(p: float | None) -> Entry:
    return EMPTY if p is None else Entry(show_probability(p), key=sort_key(p))


def costs(result: Comparison) -> Table:
    """What each method takes at each N: evaluations always, the rest where it was measured."""
    shown = view(result)
    naming = _naming(shown.cells())
    known = {(Cell(one.network, one.data), one.method, one.n): one for one in result.costs}
    keys = dict.fromkeys(
        (cell_of(row), row.method, row.n, row.forwards) for row in in_order(shown.contenders())
    )
    lines = tuple(
        (
            *_named(cell, len(naming)),
            Entry(readable(method)),
            Entry(str(n), key=n),
            Entry(str(forwards), key=forwards),
            *(_paid(known.get((cell, method, n))) if known else ()),
        )
        for cell, method, n, forwards in keys
    )
    words = ["parameters", "MAC per sample", "per 1,000 samples", "on disk"] if known else []
    headings = [*naming, Entry("method"), Entry("N"), Entry("evaluations"), *map(Entry, words)]
    caption = (
        "What one answer takes: network evaluations of one sample, and what is kept. A MAC is one "
        "multiply-add; counts of FLOP are twice as large. Times are of the machine of this run."
    )
    return Table("Costs", caption, tuple(headings), lines, names=len(naming) + 1)


def _paid(cost: Cost | None) -> tuple[Entry, ...]:
    if cost is None:
        return (EMPTY,) * 4
    return (
        Entry(show_count(cost.parameters), key=cost.parameters),
        Entry(show_count(cost.macs), key=cost.macs),
        Entry(show_seconds(cost.seconds), key=sort_key(cost.seconds)),
        Entry(show_bytes(cost.nbytes), key=cost.nbytes),
    )


def decisions(result: Comparison) -> Table | None:
    """Every step of the greedy soups that are drawn."""
    runs = greedy_runs(result)
    if not runs:
        return None
    unit = view(result).unit
    naming = _naming([cell for cell, _ in runs])
    lines = tuple(
        (
            *_named(cell, len(naming)),
            Entry(str(seed), key=seed),
            Entry(str(one.step), key=one.step),
            Entry(readable(one.candidate)),
            Entry(unit.show(one.score), key=sort_key(one.score)),
            Entry("accepted" if one.accepted else "left out"),
        )
        for (cell, seed), steps in runs.items()
        for one in steps
    )
    words = ["pool", "step", "candidate", f"selection {unit.label()}", "decision"]
    caption = (
        "Greedy soup, step by step: the score on the selection split with the candidate in the "
        "soup. Steps of smaller N and of other subsets are in results.json."
    )
    title = "Every step of greedy soup"
    return Table(title, caption, (*naming, *map(Entry, words)), lines, names=len(naming) + 2)


def confusions(result: Comparison) -> Table | None:
    """The most frequent mistakes of the preferred method."""
    found = mistakes(result.confusion) if result.confusion else []
    if not found:
        return None
    lines = tuple(
        (
            Entry(readable(true)),
            Entry(readable(said)),
            Entry(str(count), key=count),
            Entry(f"{100 * count / of:.1f}%", key=count / of),
        )
        for true, said, count, of in found
    )
    words = ["true class", "said class", "samples", "of the true class"]
    title = "The most frequent mistakes"
    return Table(title, f"{title}.", tuple(map(Entry, words)), lines, names=2)


def _place(row: Row) -> tuple[Cell, int, int, int]:
    return cell_of(row), row.n, row.seed, row.subset


def _part(number: int) -> Entry:
    """A pool's seed or a subset's number; what was averaged over all has none."""
    return Entry("all", key=-1) if number < 0 else Entry(str(number), key=number)


def _naming(cells: Iterable[Cell]) -> list[Entry]:
    """Headings of the columns that name a cell, where there are several."""
    return [Entry("network"), Entry("data")] if len(set(cells)) > 1 else []


def _named(cell: Cell, columns: int) -> tuple[Entry, ...]:
    both = (Entry(readable(cell.network) or "—"), Entry(readable(cell.data) or "—"))
    return both if columns else ()


def _methods(rows: Sequence[Row]) -> set[tuple[str, int]]:
    return {(row.method, row.n) for row in rows}


def _title(shown: View) -> str:
    return f"{capital(shown.unit.label())} on the {shown.split} split"


def _better(unit: Unit) -> str:
    return f" ({unit.better} is better)" if unit.better == "lower" else ""
