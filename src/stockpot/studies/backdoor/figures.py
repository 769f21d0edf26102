"""Figures of the study of contributors; a plot takes a result and an Axes, never a model."""

import math
from typing import Any

from ...pages.axes import SMALL, dress, name_below, panels, reference
from ...pages.heat import heat
from ...pages.styles import BLUE, GREEN, PINK, VERMILION
from ...pages.units import plain, short
from ..interference.result import ALL
from .result import EVIDENCE, BackdoorResult

_COLOURS = {
    "length": BLUE,
    "distance": VERMILION,
    "direction": GREEN,
    "layer": PINK,
}
_WORDS = {
    "length": "longer",
    "distance": "further away",
    "direction": "another direction",
    "layer": "one layer",
}
_MOST = 24


def plot_influence(result: BackdoorResult, ax: Any = None) -> Any:
    """How far the merge would move without each model, by tensor."""
    cells = {
        (row.tensor, row.model): 100 * row.relative
        for row in result.rows
        if math.isfinite(row.relative)
    }
    of = "change from the base" if result.centre == "base" else "length"
    return heat(
        ax,
        cells,
        (ALL, *result.tensors),
        result.models,
        question="Who moves the merge, and where?",
        x=f"the merge without this model differs by, % of its {of}",
        show=lambda value: f"{value:.0f}" if value >= 10 else f"{value:.2g}",
    )


def plot_shares(result: BackdoorResult, ax: Any = None) -> Any:
    """Which tensors each model's distance to the others is in; see `plot_influence`."""
    cells = {(row.tensor, row.model): 100 * row.share for row in result.rows if row.tensor != ALL}
    return heat(
        ax,
        cells,
        result.tensors,
        result.models,
        question="Where is each model unlike the others?",
        x="of its squared distance to the others' mean, %",
        show=lambda value: f"{value:.0f}" if value >= 1 else "",
    )


def plot_suspicions(result: BackdoorResult, ax: Any = None) -> Any:
    """Four bars for each model, and the threshold of the alarm; of many the highest scores.

    See `plot_influence`. Bars are cut at four thresholds; a number tells what is cut.
    """
    ranked = sorted(result.suspicions, key=lambda one: -one.score)[:_MOST]
    shown = [one for one in result.suspicions if one in ranked]
    size = (6.2, max(2.0, 0.52 * len(shown) + 1.0))
    (axes,) = panels(ax, 1, columns=1, size=size, question="Who is unlike the others?")
    ways = [way for way in EVIDENCE if result.centre == "base" or way in ("distance", "layer")]
    limit, height = 4 * result.threshold, 0.8 / len(ways)
    for place, one in enumerate(shown):
        for number, way in enumerate(ways):
            value = max(float(getattr(one, way)), 0.0)
            y = place - 0.4 + (number + 0.5) * height
            axes.barh(y, min(value, limit), 0.9 * height, color=_COLOURS[way])
            if value > limit:
                axes.annotate(
                    f"{value:.0f}", (limit, y), xytext=(3, 0), textcoords="offset points",
                    va="center", fontsize=SMALL - 1.5,
                )  # fmt: skip
    axes.set_yticks(
        range(len(shown)), [plain(name, 26) for name in short([s.model for s in shown], 26)]
    )
    axes.set_ylim(len(shown) - 0.5, -0.5)
    axes.set_xlim(0, 1.08 * limit)
    dress(axes, x="spreads of the others", grid="x")
    axes.tick_params(axis="y", length=0)
    reference(axes, result.threshold, "", flat=False)
    handles = [axes.patches[number] for number in range(len(ways))] if shown else []
    line = axes.lines[-1:]
    words = [*(_WORDS[way] for way in ways), "alarm"]
    name_below(ax, [axes], [*handles, *line], words[: len(handles) + len(line)])
    return axes
