"""Tables of a comparison across tasks: methods down, tasks across."""

from ..evaluation.results.comparison import ALL_TASKS, NORMALISED, Comparison
from ..pages.styles import detail_of, in_order
from ..pages.tables import Entry, Table, capital, value_entry
from ..pages.units import readable
from .metric_rows import View, view
from .tables import results


def across_tasks(result: Comparison) -> Table | None:
    """Every method on every task, at the largest N; nothing where there are no tasks."""
    main = view(result)
    tasks = [cell.data for cell in main.cells() if cell.data != ALL_TASKS]
    if len(tasks) == len(main.cells()):
        return None
    most = max(main.counts())
    rows = [row for row in in_order(main.contenders()) if row.n == most]
    found = {(row.network, row.method, row.data): row for row in rows}
    names = list(dict.fromkeys((row.network, row.method) for row in rows))
    several = len({network for network, _ in names}) > 1
    quotients = _quotients(result)
    whole = {
        (row.network, row.method): row
        for row in (quotients.contenders() if quotients else ())
        if (row.n, row.data) == (most, ALL_TASKS)
    }
    lines = tuple(
        (
            *([Entry(readable(network))] if several else []),
            Entry(readable(method), detail_of(found[network, method, ALL_TASKS])),
            value_entry(found[network, method, ALL_TASKS], main.unit),
            *([value_entry(whole[network, method], quotients.unit)] if quotients else []),
            *(
                value_entry(found[network, method, task], main.unit)
                for task in dict.fromkeys(tasks)
            ),
            _evaluations(found[network, method, ALL_TASKS].forwards),
        )
        for network, method in names
    )
    headings = (
        *([Entry("network")] if several else []),
        Entry("method"),
        Entry("mean over tasks"),
        *([Entry("mean, normalised")] if quotients else []),
        *(Entry(readable(task)) for task in dict.fromkeys(tasks)),
        Entry("evaluations"),
    )
    caption = (
        f"{capital(main.unit.label())} on the {main.split} split of each of {most} tasks, with the "
        "95% interval under it. individual is a network of its own for each task; the others have "
        "one body for all. Normalised: divided by the individual network's, and then averaged."
    )
    return Table(f"{most} tasks", caption, headings, lines, names=2 if several else 1)


def normalised_results(result: Comparison) -> tuple[Table, ...]:
    """The main metric divided by the individual networks', for every N and task."""
    shown = _quotients(result)
    return (results(shown),) if shown else ()


def _quotients(result: Comparison) -> View | None:
    main = view(result)
    key = f"{NORMALISED} {main.metric}", main.split
    there = any((row.metric, row.split) == key for row in result.overall())
    return view(result, *key) if there else None


def _evaluations(forwards: int) -> Entry:
    return Entry(str(forwards), key=forwards)
