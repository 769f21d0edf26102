"""How far apart the tasks' best values of a field lie: where pooling over it may help.

The finding of Weight Weaving (arXiv 2510.13921): it helps where they are dispersed.
"""

import math
import re
import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from ..results.comparison import ALL_TASKS, SMALLER, Comparison, Row

LEAST = 3
"""Values of the field that make a grid."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Dispersion:
    """The best value of one field of one method, task by task, on the selection split.

    Attributes:
        method: its name without the field; field, network, n, metric: of what.
        grid: the values that were compared, ascending.
        best: for each task its best value; of equal ones that nearest the common one.
        common: the value that is best for the mean over tasks.
        spread: standard deviation of the best values over the tasks.
        gain: what each task's own best value gives over the common one on the test split, the mean
            over tasks; larger is better whatever the metric.
        scores: by task, the metric on the selection split along the grid.
    """

    method: str
    field: str
    network: str
    n: int
    metric: str
    grid: tuple[float, ...]
    best: tuple[tuple[str, float], ...]
    common: float
    spread: float
    gain: float
    scores: tuple[tuple[str, tuple[float, ...]], ...]


def dispersions(result: Comparison, field: str = "scale") -> tuple[Dispersion, ...]:
    """Of every method that a comparison across tasks has with three or more values of a field.

    Methods are told apart by the fields in their names, such as `ties scale=0.3`; those that
    differ in this field only are a grid.

    Args:
        result: across tasks, with each value of the grid among its methods.
        field: which.
    """
    rows = [row for row in result.summary() if row.kind == "merge"]
    metric = rows[0].metric if rows else ""
    grids: dict[tuple[str, str, int], dict[float, str]] = {}
    for row in rows:
        if row.metric == metric and (found := _parted(row.method, field)):
            name, value = found
            grids.setdefault((row.network, name, row.n), {})[value] = row.method
    at = {(r.network, r.n, r.method, r.data, r.split): r for r in rows if r.metric == metric}
    found = (
        _dispersion(at, key, dict(sorted(methods.items())), field, metric)
        for key, methods in grids.items()
        if len(methods) >= LEAST
    )
    return tuple(one for one in found if one is not None)


Rows = Mapping[tuple[str, int, str, str, str], Row]


def _parted(method: str, field: str) -> tuple[str, float] | None:
    """A method's name without one of the fields in it, and that field's value."""
    found = re.search(rf" {re.escape(field)}=(\S+)", method)
    if found is None:
        return None
    try:
        return method.replace(found[0], "", 1), float(found[1])
    except ValueError:
        return None


def _dispersion(
    at: Rows, key: tuple[str, str, int], methods: Mapping[float, str], field: str, metric: str
) -> Dispersion | None:
    network, name, n = key
    sign = -1.0 if metric in SMALLER else 1.0

    def along(task: str, split: str) -> list[float]:
        return [at[network, n, method, task, split].value for method in methods.values()]

    tasks = list(_tasks(at, network, n, list(methods.values())))
    if len(tasks) < 2 or any(
        (network, n, method, ALL_TASKS, "selection") not in at for method in methods.values()
    ):
        return None
    grid = list(methods)
    whole = [sign * one for one in along(ALL_TASKS, "selection")]
    common = grid[whole.index(max(whole))]
    scores = {task: along(task, "selection") for task in tasks}
    best = {task: _best(grid, [sign * one for one in s], common) for task, s in scores.items()}
    gains = [
        sign * (tested[grid.index(best[task])] - tested[grid.index(common)])
        for task, tested in ((task, along(task, "test")) for task in tasks)
    ]
    return Dispersion(
        method=name,
        field=field,
        network=network,
        n=n,
        metric=metric,
        grid=tuple(grid),
        best=tuple(best.items()),
        common=common,
        spread=statistics.pstdev(best.values()),
        gain=math.fsum(gains) / len(gains),
        scores=tuple((task, tuple(s)) for task, s in scores.items()),
    )


def _tasks(at: Rows, network: str, n: int, methods: Sequence[str]) -> Iterator[str]:
    """Those that every method was judged on."""
    for task in dict.fromkeys(key[3] for key in at if key[:2] == (network, n)):
        keys = [(network, n, method, task, split) for method in methods for split in SPLITS]
        if task != ALL_TASKS and all(key in at and math.isfinite(at[key].value) for key in keys):
            yield task


SPLITS = ("selection", "test")


def _best(grid: Sequence[float], scores: Sequence[float], common: float) -> float:
    largest = max(scores)
    equal = [value for value, one in zip(grid, scores, strict=True) if one == largest]
    return min(equal, key=lambda value: abs(value - common))
