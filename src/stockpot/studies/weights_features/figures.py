"""Figures of averaging weights against averaging features, as values: a panel for each cell."""

import math
from collections.abc import Mapping

from ...pages.figures import Axis, Level, Lines, Series, series
from ...pages.styles import BLUE, GREEN, GREY, VERMILION, Style
from .result import MENDED, MERGED, Kind, Measure, WeightsFeaturesResult

COLOURS: Mapping[str, str] = {MERGED: BLUE, MENDED: GREEN}
KINDS: Mapping[Kind, tuple[str, Style]] = {
    "weights": ("layers with weights", Style(BLUE, "s", "none")),
    "activation": ("activations", Style(VERMILION, "o", "none")),
    "normalisation": ("normalisations", Style(GREEN, "^", "none")),
    "other": ("pooling and others", Style(GREY, "D", "none")),
}
_LAYERS = Axis("layer, in forward order")


def distance(result: WeightsFeaturesResult, cell: str) -> Lines:
    """How far the merged network's features are from the average of the features, by layer.

    The dashed line is how far a single member is, root mean square.
    """
    dashed = Style(GREY, "", (0, (4, 2)))
    member = _line(result, cell, MERGED, "spread", "a single member", dashed)
    return _lines(cell, "distance over length", *_variants(result, cell, "distance"), member)


def own(result: WeightsFeaturesResult, cell: str) -> Lines:
    """What each layer alone adds, given the average of its inputs.

    Layers with weights add the covariance of weights and inputs, activations what the nonlinearity
    loses, normalisations both.
    """
    drawn: list[Series] = []
    for kind, (words, style) in KINDS.items():
        places = [one.place for one in result.places(cell) if one.kind == kind]
        values = tuple(result.at(cell, MERGED, place, "own").value for place in places)
        if any(map(math.isfinite, values)):
            drawn.append(Series(name=words, x=tuple(places), value=values, style=style))
    return _lines(cell, "off by, over length", *drawn)


def activations(result: WeightsFeaturesResult, cell: str) -> Lines:
    """Of each activation, how often signs disagree and what its output's length loses.

    Lost is 1 - |f(mean x)| / |mean f(x)|.
    """
    places = tuple(one.place for one in result.places(cell) if one.kind == "activation")
    at = {
        measure: [result.at(cell, MERGED, place, measure).value for place in places]
        for measure in ("disagree", "kept")
    }
    signs = tuple(100 * value for value in at["disagree"])
    lost = tuple(100 - 100 * value for value in at["kept"])
    return _lines(
        cell,
        "%",
        Series(name="signs disagree", x=places, value=signs, style=Style(VERMILION)),
        Series(name="length lost", x=places, value=lost, style=Style(BLUE, "s")),
    )


def variance(result: WeightsFeaturesResult, cell: str) -> Lines:
    """Variance of features over samples, the merged network's over the members', by layer.

    Below 1 is the collapse that REPAIR mends.
    """
    drawn = _variants(result, cell, "variance")
    return _lines(cell, "variance over the members'", *drawn, levels=(Level(1.0),))


def _variants(result: WeightsFeaturesResult, cell: str, measure: Measure) -> list[Series]:
    return [
        _line(result, cell, variant, measure, variant, Style(COLOURS[variant], ""))
        for variant in result.variants(cell)
    ]


def _line(
    result: WeightsFeaturesResult,
    cell: str,
    variant: str,
    measure: Measure,
    words: str,
    style: Style,
) -> Series:
    """Means over pools, and their intervals."""
    spans = [result.at(cell, variant, one.place, measure) for one in result.places(cell)]
    return series(words, range(len(spans)), spans, style)


def _lines(cell: str, y: str, *drawn: Series, levels: tuple[Level, ...] = ()) -> Lines:
    return Lines(series=drawn, x=_LAYERS, y=Axis(y, limits=(0, None)), title=cell, levels=levels)
