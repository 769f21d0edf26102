"""Figures of the study of scopes; a plot takes a result and an Axes, never a model."""

import math
from collections.abc import Callable
from typing import Any

from ...pages.axes import SMALL, dress, panels
from ...pages.heat import heat, shown_rows
from ...pages.styles import BLUE, GREEN, GREY, ORANGE, PINK, SKY, VERMILION
from ...pages.units import plain, short
from .result import ScopeRow, ScopesResult

_SOUP, _ALONE = GREEN, ORANGE
_COLOURS = (BLUE, VERMILION, PINK, SKY, GREY)
_APART = 6


def plot_scopes(result: ScopesResult, ax: Any = None) -> Any:
    """Standard deviations by layer: each model, the fused target, the models' plain average."""
    question = "How wide are the weights of each layer?"
    tensors = shown_rows(result.tensors)
    size = (max(5.0, 0.2 * len(tensors) + 2.4), 4.4)
    (ax,) = panels(ax, 1, columns=1, size=size, question=question)
    for place, model in enumerate(result.models[:20]):
        found = {row.tensor: row.std for row in result.rows if row.model == model}
        ax.plot(
            range(len(tensors)),
            [found.get(tensor, math.nan) for tensor in tensors],
            color=_COLOURS[place % len(_COLOURS)] if len(result.models) <= _APART else GREY,
            linewidth=1.0,
            alpha=0.8,
            label=_label(result, place),
        )
    fused = {one.tensor: one for one in result.fused}
    for name, colour, dash in (("soup", _SOUP, "solid"), ("averaged", _ALONE, (0, (1, 1.5)))):
        values = [getattr(fused[tensor], name) for tensor in tensors]
        words = {"soup": "their plain average", "averaged": "average, were they independent"}
        ax.plot(
            range(len(tensors)), values, color=colour, linewidth=1.6, linestyle=dash,
            label=words[name],
        )  # fmt: skip
    dress(ax, y="standard deviation")
    ax.set_yscale("log")
    ax.set_xticks(range(len(tensors)), [plain(one) for one in short(tensors, 26)], rotation=90)
    ax.tick_params(axis="x", labelsize=SMALL - 1)
    ax.legend(fontsize=SMALL, frameon=False)
    return ax


def plot_scope_factors(result: ScopesResult, ax: Any = None) -> Any:
    """Standard deviations over the fused target's, by layer and model; see `plot_scopes`."""
    cells = {
        (row.tensor, row.model): 100 * (1 / row.factor - 1)
        for row in result.rows
        if row.factor and math.isfinite(row.factor)
    }
    return heat(
        ax,
        cells,
        result.tensors,
        _columns(result),
        question="Which layers are wider or narrower than the fused scope?",
        x="standard deviation, % above (orange) or below (blue) the fused one",
        show=lambda value: f"{value:+.1f}" if abs(value) >= 0.05 else "0",
    )


def plot_scope_normality(result: ScopesResult, ax: Any = None) -> Any:
    """Distance from a normal distribution, by layer and model; see `plot_scopes`."""
    return heat(
        ax,
        _cells(result, lambda row: 100 * row.distance),
        result.tensors,
        _columns(result),
        question="Are the weights of a layer normal?",
        x="largest gap to the normal distribution function, points of 100",
        show=lambda value: f"{value:.1f}",
    )


def plot_scope_divergence(result: ScopesResult, ax: Any = None) -> Any:
    """KL from each model's scope to the fused one, by layer and model; see `plot_scopes`."""
    return heat(
        ax,
        _cells(result, lambda row: 1000 * row.kl),
        result.tensors,
        _columns(result),
        question="How far are scopes from the fused one?",
        x="KL to the fused scope, thousandths of a nat",
        show=lambda value: f"{value:.2g}" if value >= 0.01 else "0",
    )


def _label(result: ScopesResult, place: int) -> str | None:
    """A legend names few models, and calls many by one name."""
    if len(result.models) <= _APART:
        return plain(short(list(result.models), 20)[place])
    return f"{len(result.models)} models" if place == 0 else None


def _columns(result: ScopesResult) -> tuple[str, ...]:
    return (*result.models, *([result.base] if result.base else []))


def _cells(
    result: ScopesResult, value: Callable[[ScopeRow], float]
) -> dict[tuple[str, str], float]:
    return {(row.tensor, row.model): value(row) for row in result.rows if math.isfinite(value(row))}
