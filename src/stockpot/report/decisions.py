"""How greedy soups came about."""

from collections.abc import Sequence
from typing import Any

from ..errors import StockpotError
from ..evaluation.results.comparison import Comparison, Decision
from ..pages.axes import SMALL, dress, height_of, panels
from ..pages.styles import FAMILIES, INK, PAPER
from ..pages.units import Unit, plain, short
from .metric_rows import Cell, metric_rows, titles

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


def plot_decisions(result: Comparison, ax: Any = None) -> Any:
    """The score with each candidate, from the first step on top to the last.

    Filled: accepted; hollow: tried and left out. The line goes through what was accepted. Each pool
    has a panel.

    Raises:
        StockpotError: without decisions, or where `ax` would hold several pools.
    """
    runs = greedy_runs(result)
    if not runs:
        raise StockpotError("the comparison has no greedy soup: there are no decisions to draw.")
    if ax is not None and len(runs) > 1:
        raise StockpotError(
            f"one Axes holds one greedy soup; this comparison has {len(runs)}. Draw without `ax`."
        )
    most = max(len(steps) for steps in runs.values())
    axes = panels(
        ax,
        len(runs),
        columns=2,
        size=(4.6 if len(runs) > 1 else 7.0, height_of(most, least=1.6)),
        question="Which networks did greedy soup take?",
    )
    unit = metric_rows(result).unit
    names = titles(list(dict.fromkeys(cell for cell, _ in runs)), 24)
    for one, ((cell, seed), steps) in zip(axes, runs.items(), strict=True):
        _steps(one, steps, unit)
        words = [names[cell], f"pool {seed}" if len(runs) > 1 else ""]
        dress(
            one,
            title=", ".join(word for word in words if word),
            x=f"selection {unit.label()}, with the candidate",
            grid="x",
            longest=34,
        )
        one.tick_params(axis="y", length=0)
    return axes[0]


def _steps(ax: Any, steps: Sequence[Decision], unit: Unit) -> None:
    scores = [unit.factor * one.score for one in steps]
    kept = [place for place, one in enumerate(steps) if one.accepted]
    ax.plot([scores[i] for i in kept], kept, color=GREEDY.colour, linewidth=1.4)
    for place, one in enumerate(steps):
        ax.plot(
            [scores[place]],
            [place],
            GREEDY.marker,
            markersize=6,
            markerfacecolor=GREEDY.colour if one.accepted else PAPER,
            markeredgecolor=INK if one.accepted else FAMILIES["single"].colour,
            markeredgewidth=0.5 if one.accepted else 1.2,
        )
    names = short([one.candidate for one in steps], 24)
    words = [
        f"{plain(name)}  {'+' if one.accepted else '–'}"
        for name, one in zip(names, steps, strict=True)
    ]
    ax.set_yticks(range(len(steps)), words, fontsize=SMALL)
    ax.set_ylim(len(steps) - 0.5, -0.5)
