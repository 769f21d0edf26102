"""Figures of the study of contributors, as values."""

import math

from ...pages.figures import Axis, Dots, Heat, Level, Series, heat
from ...pages.styles import BLUE, GREEN, PINK, VERMILION, Style
from ..interference.result import ALL
from .result import EVIDENCE, BackdoorResult

_WAYS = {
    "length": ("longer", BLUE),
    "distance": ("further away", VERMILION),
    "direction": ("another direction", GREEN),
    "layer": ("one layer", PINK),
}
_MOST = 24


def influence(result: BackdoorResult) -> Heat:
    """How far the merge would move without each model, by tensor."""
    of = "change from the base" if result.centre == "base" else "length"
    return heat(
        {(row.tensor, row.model): 100 * row.relative for row in result.rows},
        (ALL, *result.tensors),
        result.models,
        x=f"the merge without this model differs by, % of its {of}",
        show=lambda value: f"{value:.0f}" if value >= 10 else f"{value:.2g}",
    )


def shares(result: BackdoorResult) -> Heat:
    """Which tensors each model's distance to the others is in."""
    return heat(
        {(row.tensor, row.model): 100 * row.share for row in result.rows if row.tensor != ALL},
        result.tensors,
        result.models,
        x="of its squared distance to the others' mean, %",
        show=lambda value: f"{value:.0f}" if value >= 1 else "",
    )


def suspicions(result: BackdoorResult) -> Dots:
    """Four bars for each model, and the threshold of the alarm; of many the highest scores.

    Bars are cut at four thresholds; a number tells what is cut.
    """
    ranked = sorted(result.suspicions, key=lambda one: -one.score)[:_MOST]
    shown = [one for one in result.suspicions if one in ranked]
    ways = [way for way in EVIDENCE if result.centre == "base" or way in ("distance", "layer")]
    limit = 4 * result.threshold
    bars: list[Series] = []
    for way in ways:
        words, colour = _WAYS[way]
        values = [max(float(getattr(one, way)), 0.0) for one in shown]
        bars.append(
            Series(
                name=words,
                x=tuple(range(len(shown))),
                value=tuple(min(value, limit) for value in values),
                labels=tuple(f"{v:.0f}" if math.isfinite(v) and v > limit else "" for v in values),
                style=Style(colour),
            )
        )
    return Dots(
        series=tuple(bars),
        names=tuple(one.model for one in shown),
        x=Axis("spreads of the others", limits=(0, 1.08 * limit)),
        levels=(Level(result.threshold, "alarm", along="x"),),
        marks="bars",
    )
