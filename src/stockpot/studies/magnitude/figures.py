"""Figures of the study of magnitude, as values."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any

from ...evaluation.results.intervals import Interval
from ...pages.figures import Axis, Level, Lines, Series, series
from ...pages.styles import (
    BLUE,
    FAMILIES,
    GREEN,
    GREY,
    ORANGE,
    PINK,
    SKY,
    VERMILION,
    WINE,
    Style,
)
from .result import ALL, ENSEMBLE, SOUP, Bound, MagnitudeResult, Point, Scoring

_SOLID, _DASHED, _DOTTED = "solid", (0, (4, 2)), (0, (1, 1.5))
LINES: Mapping[str, tuple[str, Any]] = {
    "single-mean": ("single", _SOLID),
    "uniform-soup": ("uniform-soup", _SOLID),
    "greedy-soup": ("greedy-soup", _SOLID),
    "logits-ensemble": ("ensemble", _SOLID),
    "greedy-logits-ensemble": ("ensemble", _DASHED),
    "probabilities-ensemble": ("ensemble", _DOTTED),
    "features-ensemble": ("features", _SOLID),
    "features-ensemble-first-head": ("features", _DOTTED),
    "greedy-features-ensemble": ("features", _DASHED),
}
"""Family and dash of each column that is drawn."""
_FEW = ("single-mean", "uniform-soup", "greedy-soup", "logits-ensemble", "features-ensemble")
_COUNTS = (BLUE, SKY, GREEN, ORANGE, VERMILION, PINK, WINE)
_WORDS = {
    "float32": "float32, not finite is wrong",
    "float64": "float64",
    "carried": "carried exponents",
}
_PERCENT = (-3, 103)


def curves(result: MagnitudeResult) -> tuple[Lines, ...]:
    """Accuracy of columns against M: as published, with what is lost as wrong, and exact."""
    shown: list[tuple[str, Scoring, str]] = [
        ("float32", "published", "float32, as published"),
        ("float32", "wrong", _WORDS["float32"]),
        (result.exact, "wrong", _WORDS[result.exact]),
    ]
    n, drawn = result.counts[-1], list[Lines]()
    for arithmetic, scoring, words in shown:
        start = result.line("everything", arithmetic, n, "single-mean", scoring)[0]
        levels = (Level(100 * start.accuracy), *_full(result))
        columns = _columns(result, "everything", arithmetic, scoring, _FEW)
        drawn.append(_panel(result, "everything", columns, "accuracy, %", words, levels))
    return tuple(drawn)


def lost(result: MagnitudeResult) -> Lines:
    """Share of the outputs that float32 cannot hold, against M, beside what the norms predict."""
    n = result.counts[-1]
    drawn = [
        _series(
            method, [100 * p.non_finite for p in result.line("everything", "float32", n, method)]
        )
        for method in _FEW
    ]
    words = "outputs that are not finite, %"
    return _panel(result, "everything", drawn, words, "", _full(result))


def soup_gap(result: MagnitudeResult) -> tuple[Lines, ...]:
    """Soup less logits ensemble against M, one line for each N: as published, and exact."""
    shown: list[tuple[str, Scoring, str]] = [
        ("float32", "published", "float32, as published"),
        (result.exact, "wrong", _WORDS[result.exact]),
    ]
    drawn: list[Lines] = []
    for arithmetic, scoring, words in shown:
        lines: list[Series] = []
        for number, n in enumerate(result.counts):
            line = result.line("everything", arithmetic, n, f"{SOUP} - {ENSEMBLE}", scoring)
            spans = [Interval(p.accuracy, p.low, p.high) for p in line]
            style = Style(_COUNTS[number % len(_COUNTS)], size=3)
            lines.append(series(f"N = {n}", range(len(spans)), spans, style, factor=100))
        panel = _panel(result, "everything", lines, "points", words, (Level(0),))
        ends = [v for one in lines for v in (*one.low, *one.high, *one.value) if math.isfinite(v)]
        drawn.append(_limited(panel, min(ends), max(ends)))
    low = min(one.y.limits[0] or 0 for one in drawn)
    high = max(one.y.limits[1] or 0 for one in drawn)
    return tuple(_limited(one, low, high) for one in drawn)


def batches(result: MagnitudeResult) -> tuple[Lines, ...]:
    """Soup against ensemble, a point for each batch of the test split, a panel for each factor."""
    style = Style(FAMILIES["uniform-soup"].colour, "o", "none", size=3, alpha=0.6)
    drawn: list[Lines] = []
    for size in _sizes(result, "everything"):
        seen = [one for one in result.batches if one.size == size]
        dots = Series(
            name="", x=tuple(100 * one.soup for one in seen),
            value=tuple(100 * one.ensemble for one in seen), style=style,
        )  # fmt: skip
        drawn.append(
            Lines(
                series=(dots,),
                x=Axis("soup, %", limits=(-4, 104)),
                y=Axis("ensemble, %", limits=(-4, 104)),
                title=f"M = {size:.4g}",
                levels=(Level(0, along="diagonal"),),
                width=2.3,
            )
        )
    return tuple(drawn)


def disturbed(result: MagnitudeResult) -> tuple[Lines, ...]:
    """The other disturbances: accuracy against their size, a panel for each."""
    words, drawn = dict(result.axes), list[Lines]()
    for name in disturbances(result):
        exact = name == "weights"
        columns = _columns(result, name, "float64" if exact else "float32", "wrong", _FEW)
        title = f"{name}, in float64" if exact else name
        drawn.append(_panel(result, name, columns, "accuracy, %", title, (), words[name]))
    return tuple(drawn)


def variance(result: MagnitudeResult) -> Lines:
    """What averaging leaves of the variance of each tensor's weights."""
    n, drawn = result.counts[-1], list[Series]()
    for quantity, words, style in (
        ("of_average", "average of two", Style(BLUE, "s")),
        ("of_all", f"average of {n}", Style(SKY, "D")),
        ("delta_of_all", f"average of {n}, since the start", Style(ORANGE, "v")),
    ):
        rows = [o for o in result.moments if o.quantity == quantity and o.tensor != ALL]
        if any(math.isfinite(o.value) for o in rows):
            values = tuple(100 * o.value for o in rows)
            at = tuple(range(1, len(rows) + 1))
            drawn.append(Series(name=words, x=at, value=values, style=style))
    return Lines(
        series=tuple(drawn),
        x=Axis("layer"),
        y=Axis("of the ingredients' variance, %", limits=(0, None)),
        levels=(Level(50, "independent, two"), Level(100 / n, f"independent, {n}")),
    )


def bounds(result: MagnitudeResult) -> tuple[Lines, Lines]:
    """Equations 15 and 16 beside what is measured, layer by layer, of a fully connected network."""
    single = [one for one in result.bounds if one.of == "single"]
    soup = [one for one in result.bounds if one.of == "soup"]

    def line(words: str, rows: Sequence[Bound], field: str, colour: str, dash: Any) -> Series:
        values = tuple(float(getattr(one, field)) for one in rows)
        at = tuple(one.layer for one in rows)
        return Series(name=words, x=at, value=values, style=Style(colour, "", dash))

    def panel(title: str, *lines: Series) -> Lines:
        return Lines(series=lines, x=Axis("layer"), y=Axis(scale="log"), title=title)

    return (
        panel(
            "15: size of activations over the input's",
            line("equation 15, C = 1", single, "norm_bound", VERMILION, _DASHED),
            line("product of spectral norms", single, "spectral_bound", ORANGE, _DASHED),
            line("measured, single", single, "norm", GREY, _SOLID),
            line("measured, soup", soup, "norm", BLUE, _SOLID),
        ),
        panel(
            "16: variance of outputs",
            line("equation 16", single, "variance_bound", VERMILION, _DASHED),
            line("measured, single", single, "variance", GREY, _SOLID),
            line("measured, soup", soup, "variance", BLUE, _SOLID),
        ),
    )


def widest(result: MagnitudeResult) -> Point:
    """Where the soup is furthest above the ensemble in float32 as published."""
    gap, n = f"{SOUP} - {ENSEMBLE}", result.counts[-1]
    line = result.line("everything", "float32", n, gap, "published")
    return max(line, key=lambda p: p.accuracy)


def disturbances(result: MagnitudeResult) -> list[str]:
    """All but the published one."""
    return [name for name, _ in result.perturbations if name != "everything"]


def place_of(sizes: Sequence[float], value: float) -> float:
    """Where a value stands between evenly spaced marks of rising sizes.

    >>> place_of([1.0, 10.0, 1000.0], 100.0)
    1.5
    """
    for at, (low, high) in enumerate(pairwise(sizes)):
        if low <= value <= high:
            return at + math.log(value / low) / math.log(high / low)
    raise ValueError(value)


def _columns(
    result: MagnitudeResult,
    perturbation: str,
    arithmetic: str,
    scoring: Scoring,
    methods: Iterable[str],
) -> list[Series]:
    lines = {
        method: result.line(perturbation, arithmetic, result.counts[-1], method, scoring)
        for method in methods
    }
    return [
        _series(method, [100 * p.accuracy for p in line]) for method, line in lines.items() if line
    ]


def _series(method: str, values: Sequence[float]) -> Series:
    family, dash = LINES[method]
    style = Style(FAMILIES[family].colour, FAMILIES[family].marker, dash, size=3)
    return Series(name=method, x=tuple(range(len(values))), value=tuple(values), style=style)


def _panel(
    result: MagnitudeResult,
    perturbation: str,
    drawn: Sequence[Series],
    y: str,
    title: str,
    levels: tuple[Level, ...],
    x: str = "factor M on all tensors",
) -> Lines:
    names = tuple(f"{size:.4g}" for size in _sizes(result, perturbation))
    axis, limits = Axis(x, names=names), (None, None) if y == "points" else _PERCENT
    return Lines(
        series=tuple(drawn), x=axis, y=Axis(y, limits=limits), title=title, levels=levels, width=3.9
    )


def _limited(panel: Lines, low: float, high: float) -> Lines:
    return replace(panel, y=replace(panel.y, limits=(low, high)))


def _sizes(result: MagnitudeResult, perturbation: str) -> tuple[float, ...]:
    return tuple(dict.fromkeys(p.size for p in result.points if p.perturbation == perturbation))


def _full(result: MagnitudeResult) -> tuple[Level, ...]:
    """Where the norms of a single network say that float32 is full."""
    predicted, sizes = result.full("single", "predicted"), _sizes(result, "everything")
    if not math.isfinite(predicted) or not sizes[0] <= predicted <= sizes[-1]:
        return ()
    return (Level(place_of(sizes, predicted), along="x"),)
