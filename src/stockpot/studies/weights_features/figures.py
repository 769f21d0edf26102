"""Figures of averaging weights against averaging features; a plot takes a result, never a model."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from ...pages.axes import (
    SMALL,
    dress,
    panels,
    reference,
)
from ...pages.styles import (
    BLUE,
    GREEN,
    GREY,
    VERMILION,
)
from ...pages.units import plain
from .result import (
    MENDED,
    MERGED,
    Kind,
    Measure,
    WeightsFeaturesResult,
)

COLOURS: Mapping[str, str] = {
    MERGED: BLUE,
    MENDED: GREEN,
    "spread": GREY,
}
KINDS: Mapping[Kind, tuple[str, str, str]] = {
    "weights": ("layers with weights", BLUE, "s"),
    "activation": ("activations", VERMILION, "o"),
    "normalisation": ("normalisations", GREEN, "^"),
    "other": ("pooling and others", GREY, "D"),
}


def plot_distance(result: WeightsFeaturesResult, ax: Any = None, *, cell: str | None = None) -> Any:
    """How far the merged network's features are from the average of the features, by layer.

    A panel for each cell. The dashed line is how far a single member is, root mean square.

    Args:
        result: of the study.
        ax: the matplotlib Axes to draw one cell on; a new figure of all without one.
        cell: on `ax`; the first without it.

    Returns:
        The Axes, the last of them where there are several.

    Raises:
        ExtraError: without matplotlib.
    """
    question = "How far is the merged network from averaged features?"
    for panel, name in _panels(result, ax, cell, question):
        for variant in result.variants(name):
            _line(panel, result, name, variant, "distance", variant, COLOURS[variant], "solid")
        _line(
            panel, result, name, MERGED, "spread", "a single member", COLOURS["spread"], (0, (4, 2))
        )
        _dress(panel, name, "distance over length")
        ax = panel
    return ax


def plot_own(result: WeightsFeaturesResult, ax: Any = None, *, cell: str | None = None) -> Any:
    """What each layer alone adds, given the average of its inputs, as `plot_distance`.

    Layers with weights add the covariance of weights and inputs, activations what the nonlinearity
    loses, normalisations both.
    """
    for panel, name in _panels(result, ax, cell, "Where does the gap open?"):
        for kind, (words, colour, marker) in KINDS.items():
            mine = [
                (one.place, result.at(name, MERGED, one.place, "own").value)
                for one in result.places(name)
                if one.kind == kind
            ]
            points = [(x, y) for x, y in mine if math.isfinite(y)]
            if points:
                panel.plot(*zip(*points, strict=True), color=colour, marker=marker, markersize=4.5)
                panel.lines[-1].set(linestyle="none", label=words)
                for x, y in points:
                    panel.plot([x, x], [0, y], color=colour, linewidth=1)
        _dress(panel, name, "off by, over length")
        ax = panel
    return ax


def plot_activations(
    result: WeightsFeaturesResult, ax: Any = None, *, cell: str | None = None
) -> Any:
    """Of each activation, how often signs disagree and what its output's length loses.

    As `plot_distance`. Lost is 1 - |f(mean x)| / |mean f(x)|.
    """
    question = "How often do signs disagree, and what is lost?"
    for panel, name in _panels(result, ax, cell, question):
        places = [one.place for one in result.places(name) if one.kind == "activation"]
        signs = [100 * result.at(name, MERGED, place, "disagree").value for place in places]
        lost = [100 - 100 * result.at(name, MERGED, place, "kept").value for place in places]
        marks = {"marker": "o", "markersize": 4}
        panel.plot(places, signs, color=VERMILION, label="signs disagree", **marks)
        panel.plot(places, lost, color=BLUE, label="length lost", **marks)
        _dress(panel, name, "%")
        ax = panel
    return ax


def plot_feature_variance(
    result: WeightsFeaturesResult, ax: Any = None, *, cell: str | None = None
) -> Any:
    """Variance of features over samples, the merged network's over the members', by layer.

    As `plot_distance`. Below 1 is the collapse that REPAIR mends.
    """
    question = "Does the variance of features collapse?"
    for panel, name in _panels(result, ax, cell, question):
        for variant in result.variants(name):
            _line(panel, result, name, variant, "variance", variant, COLOURS[variant], "solid")
        _dress(panel, name, "variance over the members'")
        reference(panel, 1.0, "")
        ax = panel
    return ax


def _panels(
    result: WeightsFeaturesResult, ax: Any, cell: str | None, question: str
) -> Sequence[tuple[Any, str]]:
    cells = result.cells if ax is None else (cell or result.cells[0],)
    axes = panels(ax, len(cells), columns=2, size=(4.6, 2.9), question=question)
    return list(zip(axes, cells, strict=True))


def _line(
    ax: Any,
    result: WeightsFeaturesResult,
    cell: str,
    variant: str,
    measure: Measure,
    words: str,
    colour: str,
    dash: Any,
) -> None:
    """Means over pools, and their intervals as a band."""
    spans = [result.at(cell, variant, one.place, measure) for one in result.places(cell)]
    places = range(len(spans))
    values = [span.value for span in spans]
    ax.plot(places, values, color=colour, linestyle=dash, linewidth=1.3, label=words)
    if all(math.isfinite(span.low) for span in spans):
        ends = [span.low for span in spans], [span.high for span in spans]
        ax.fill_between(places, *ends, color=colour, alpha=0.18, linewidth=0)
    if len(spans) == 1:
        ax.plot([0], values, color=colour, marker="o", markersize=4)


def _dress(ax: Any, cell: str, words: str) -> None:
    """From 0, with room for the legend above what is drawn."""
    dress(ax, title=plain(cell), x="layer, in forward order", y=words)
    ax.xaxis.get_major_locator().set_params(integer=True)
    ax.set_ylim(0, 1.3 * ax.get_ylim()[1])
    if ax.get_legend_handles_labels()[0]:
        ax.legend(fontsize=SMALL - 1, frameon=False, loc="upper left", ncols=2)
