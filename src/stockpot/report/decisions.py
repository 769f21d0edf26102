"""How greedy soups came about."""

from ..evaluation.results.comparison import Comparison, Decision
from ..pages.figures import Axis, Dots, Series
from ..pages.styles import FAMILIES, Style
from .metric_rows import Cell, MetricRows, titles

GREEDY = FAMILIES["greedy-soup"]


def greedy_runs(result: Comparison) -> dict[tuple[Cell, int], tuple[Decision, ...]]:
    """The steps of each pool's greedy soup of its largest N, of the first subset of that size.

    Keys are the cell and the pool's seed.
    """
    runs: dict[tuple[Cell, int], list[Decision]] = {}
    for one in result.decisions:
        runs.setdefault((Cell(one.network, one.data), one.seed), []).append(one)
    found: dict[tuple[Cell, int], tuple[Decision, ...]] = {}
    for key, steps in runs.items():
        most = max(one.n for one in steps)
        first = min(one.subset for one in steps if one.n == most)
        chosen = [one for one in steps if (one.n, one.subset) == (most, first)]
        found[key] = tuple(sorted(chosen, key=lambda one: one.step))
    return found


def decisions(result: Comparison, shown: MetricRows) -> list[Dots]:
    """The score with each candidate, from the first step on top to the last; a panel a pool.

    Filled: accepted; hollow: tried and left out.
    """
    runs, unit = greedy_runs(result), shown.unit
    names = titles(list(dict.fromkeys(cell for cell, _ in runs)), 24)
    panels: list[Dots] = []
    for (cell, seed), steps in runs.items():
        words = [names[cell], f"pool {seed}" if len(runs) > 1 else ""]
        drawn: list[Series] = []
        for name, taken in (("accepted", True), ("left out", False)):
            mine = [k for k, one in enumerate(steps) if one.accepted is taken]
            scores = tuple(unit.factor * steps[k].score for k in mine)
            style = Style(GREEDY.colour, GREEDY.marker, hollow=not taken, size=6)
            drawn.append(Series(name=name, x=tuple(mine), value=scores, style=style))
        panels.append(
            Dots(
                series=tuple(one for one in drawn if one.x),
                names=tuple(f"{one.candidate}  {'+' if one.accepted else '–'}" for one in steps),
                x=Axis(f"selection {unit.label()}, with the candidate"),
                title=", ".join(word for word in words if word),
            )
        )
    return panels
