"""Tables of a comparison across tasks: methods down, tasks across."""

from collections.abc import Callable

from ..evaluation.results.comparison import ALL_TASKS, NORMALISED, Comparison, Row
from ..pages.styles import detail_of, in_order
from ..pages.tables import Column, Table, capital, count, measured, sort_key, table, words
from .metric_rows import MetricRows, metric_rows
from .tables import results

_Method = tuple[str, str]
"""A network, and the name of a method."""


def across_tasks(result: Comparison) -> Table | None:
    """Every method on every task, at the largest N; nothing where there are no tasks."""
    main = metric_rows(result)
    tasks = [cell.data for cell in main.cells() if cell.data != ALL_TASKS]
    if len(tasks) == len(main.cells()):
        return None
    most = max(main.counts())
    rows = [row for row in in_order(main.contenders()) if row.n == most]
    found = {(row.network, row.method, row.data): row for row in rows}
    names = list(dict.fromkeys((row.network, row.method) for row in rows))
    if main.unit.better:
        sign = 1 if main.unit.better == "lower" else -1
        names.sort(key=lambda name: sort_key(sign * found[*name, ALL_TASKS].value) or 0.0)
    several = len({network for network, _ in names}) > 1
    quotients = _quotients(result)
    whole = {
        (row.network, row.method): row
        for row in (quotients.contenders() if quotients else ())
        if (row.n, row.data) == (most, ALL_TASKS)
    }
    kinds = tuple(dict.fromkeys(tasks))
    network: list[Column[_Method]] = []
    if several:
        network.append(words("network", lambda row: row[0]))
    caption = (
        f"{capital(main.unit.label())} on the {main.split} split of each of {most} tasks, with the "
        "95% interval under it. individual is a network of its own for each task; the others have "
        "one body for all. Normalised: divided by the individual network's, and then averaged."
    )

    def on(task: str) -> Callable[[_Method], Row]:
        return lambda row: found[*row, task]

    overall = on(ALL_TASKS)
    normalised = [measured("mean, normalised", whole.get, quotients.unit)] if quotients else []
    return table(
        f"{most} tasks",
        caption,
        names,
        *network,
        words("method", lambda row: row[1], lambda row: detail_of(overall(row))),
        measured("mean over tasks", overall, main.unit),
        *normalised,
        *(measured(task, on(task), main.unit) for task in kinds),
        count("evaluations", lambda row: overall(row).forwards),
        names=len(network) + 1,
    )


def normalised_results(result: Comparison) -> tuple[Table, ...]:
    """The main metric divided by the individual networks', for every N and task."""
    shown = _quotients(result)
    return (results(shown),) if shown else ()


def _quotients(result: Comparison) -> MetricRows | None:
    main = metric_rows(result)
    key = f"{NORMALISED} {main.metric}", main.split
    there = any((row.metric, row.split) == key for row in result.overall())
    return metric_rows(result, *key) if there else None
