"""Best values of a field, task by task: how dispersed they are."""

from collections.abc import Callable
from typing import Any

from ..errors import StockpotError
from ..evaluation.results.comparison import Comparison
from ..evaluation.scores.dispersion import Dispersion, dispersions
from ..pages.axes import dress, legend, panels
from ..pages.styles import FAMILIES, INK, Style
from ..pages.tables import Column, Table, keyed, table, words
from ..pages.units import unit_of

MOST_PANELS = 12
_COLOURS = [one.colour for one in FAMILIES.values() if one.colour != INK]
_MARKERS = "osD^vPX*"


def largest(result: Comparison) -> list[Dispersion]:
    """At the largest N of each network."""
    found = dispersions(result)
    most = {one.network: max(o.n for o in found if o.network == one.network) for one in found}
    return [one for one in found if one.n == most[one.network]]


def dispersion_table(result: Comparison) -> Table | None:
    """Best scales of each method, task by task; nothing where there is no grid of scales."""
    found = largest(result)
    if not found:
        return None
    several = len({one.network for one in found}) > 1
    tasks = list(dict.fromkeys(task for one in found for task, _ in one.best))
    unit = unit_of(found[0].metric)
    network: list[Column[Dispersion]] = []
    if several:
        network.append(words("network", lambda one: one.network))
    caption = (
        "The best scale of the grid on the selection split: for the mean over tasks, and for each. "
        "Spread is the standard deviation over tasks. Gain: what each task's own best scale is "
        "worth on the test split over the common one, the mean over tasks. Pooling over scales "
        "(weave) is said to help where they are dispersed."
    )

    def best(task: str) -> Callable[[Dispersion], float | None]:
        return lambda one: dict(one.best).get(task)

    return table(
        "Best scale by task",
        caption,
        found,
        *network,
        words("method", lambda one: one.method),
        keyed("best for all", lambda one: one.common, "{:g}".format),
        *(keyed(task, best(task), "{:g}".format) for task in tasks),
        keyed("spread", lambda one: one.spread, "{:.2f}".format),
        keyed("gain of own", lambda one: one.gain, unit.show_difference, unit.gap_label()),
        names=len(network) + 1,
    )


def plot_scales(result: Comparison, ax: Any = None) -> Any:
    """The metric of each task along the grid of scales, a panel for each method; large where best.

    Raises:
        StockpotError: where no method has a grid of scales, or `ax` would hold several.
    """
    found = largest(result)[:MOST_PANELS]
    if not found or (ax is not None and len(found) > 1):
        raise StockpotError(f"one Axes holds one grid of scales; this comparison has {len(found)}.")
    unit = unit_of(found[0].metric)
    tasks = list(dict.fromkeys(task for one in found for task, _ in one.best))
    drawn = {
        task: Style(_COLOURS[k % len(_COLOURS)], _MARKERS[k % len(_MARKERS)], "solid", hollow=False)
        for k, task in enumerate(tasks)
    }
    question = "Which scale is best for each task?"
    axes = panels(ax, len(found), columns=2, size=(4.8, 2.8), question=question)
    several = len({one.network for one in found}) > 1
    for one, panel in zip(found, axes, strict=True):
        best = dict(one.best)
        for task, scores in one.scores:
            style, heights = drawn[task], [unit.factor * score for score in scores]
            panel.plot(one.grid, heights, linewidth=1.2, **style.marks(3))
            height = heights[one.grid.index(best[task])]
            panel.plot([best[task]], [height], linestyle="none", **style.marks(7))
        title = f"{one.network}: {one.method}" if several else one.method
        dress(panel, title=title, x="scale", y=f"selection {unit.label()}")
    legend(ax, axes, tasks, drawn)
    return axes[0]
