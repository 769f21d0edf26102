"""Figures of the study of scopes, as values."""

import math
from collections.abc import Callable

from ...pages.figures import Axis, Heat, Lines, Series, heat, shown_rows
from ...pages.styles import BLUE, GREEN, GREY, ORANGE, PINK, SKY, VERMILION, Style
from .result import ScopeRow, ScopesResult

_COLOURS = (BLUE, VERMILION, PINK, SKY, GREY)
_APART = 5
"""Models that have a name and a colour each."""


def deviations(result: ScopesResult) -> Lines:
    """Standard deviations by layer: each model, the fused target, the models' plain average."""
    tensors = shown_rows(result.tensors)
    places, few = tuple(range(len(tensors))), len(result.models) <= _APART
    drawn: list[Series] = []
    for place, model in enumerate(result.models[:20]):
        found = {row.tensor: row.std for row in result.rows if row.model == model}
        drawn.append(
            Series(
                name=model if few else f"{len(result.models)} models",
                x=places,
                value=tuple(found.get(tensor, math.nan) for tensor in tensors),
                style=Style(_COLOURS[place] if few else GREY, "", width=1.0, alpha=0.8),
            )
        )
    fused = {one.tensor: one for one in result.fused}
    for at, words, style in (
        ("soup", "their plain average", Style(GREEN, "", width=1.6)),
        ("averaged", "average, were they independent", Style(ORANGE, "", (0, (1, 1.5)))),
    ):
        values = tuple(getattr(fused[tensor], at) for tensor in tensors)
        drawn.append(Series(name=words, x=places, value=values, style=style))
    return Lines(
        series=tuple(drawn), x=Axis(names=tuple(tensors)), y=Axis("standard deviation", "log")
    )


def factors(result: ScopesResult) -> Heat:
    """Standard deviations over the fused target's, by layer and model."""
    return _by_model(
        result,
        lambda row: 100 * (1 / row.factor - 1) if row.factor else math.nan,
        "standard deviation, % above (orange) or below (blue) the fused one",
        lambda value: f"{value:+.1f}" if abs(value) >= 0.05 else "0",
    )


def normality(result: ScopesResult) -> Heat:
    """Distance from a normal distribution, by layer and model."""
    return _by_model(
        result,
        lambda row: 100 * row.distance,
        "largest gap to the normal distribution function, points of 100",
        lambda value: f"{value:.1f}",
    )


def divergence(result: ScopesResult) -> Heat:
    """KL from each model's scope to the fused one, by layer and model."""
    return _by_model(
        result,
        lambda row: 1000 * row.kl,
        "KL to the fused scope, thousandths of a nat",
        lambda value: f"{value:.2g}" if value >= 0.01 else "0",
    )


def _by_model(
    result: ScopesResult, value: Callable[[ScopeRow], float], x: str, show: Callable[[float], str]
) -> Heat:
    cells = {
        (row.tensor, row.model): found for row in result.rows if math.isfinite(found := value(row))
    }
    columns = (*result.models, *([result.base] if result.base else []))
    return heat(cells, result.tensors, columns, x=x, show=show)
