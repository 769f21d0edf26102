"""Figures of the study of magnitude; a plot takes a result and an Axes, never a model."""

import math
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from typing import Any

from ...libraries import optional
from ...pages.axes import SMALL, dress, name_below, panels
from ...pages.styles import BLUE, FAMILIES, GREEN, INK, ORANGE, PAPER, PINK, SKY, VERMILION, WINE
from ...pages.units import plain
from .result import ALL, ENSEMBLE, SOUP, MagnitudeResult, Point, Scoring

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


def plot_curves(result: MagnitudeResult, ax: Any = None) -> Any:
    """Accuracy of every column against M: as published, with what is lost as wrong, and exact.

    On the caller's Axes: what was published.
    """
    n = result.counts[-1]
    shown: list[tuple[str, Scoring, str]] = [
        ("float32", "published", "float32, as published"),
        ("float32", "wrong", _WORDS["float32"]),
        (result.exact, "wrong", _WORDS[result.exact]),
    ]
    question = f"What does a factor on all weights do to soups and ensembles of {n}?"
    axes = panels(ax, len(shown), columns=3, size=(3.9, 3.4), question=question)
    for one, (arithmetic, scoring, words) in zip(axes, shown, strict=False):
        _columns(one, result, "everything", arithmetic, scoring, LINES)
        start = result.line("everything", arithmetic, n, "single-mean", scoring)[0]
        one.axhline(100 * start.accuracy, color=INK, linewidth=0.8, linestyle=_DOTTED)
        _predicted(one, result, _sizes(result, "everything"))
        dress(one, title=words, x="factor M on all tensors", y="accuracy, %")
        one.set_ylim(-3, 103)
    _legend(ax, axes, LINES)
    return axes[0]


def plot_lost(result: MagnitudeResult, ax: Any = None) -> Any:
    """Share of the outputs that float32 cannot hold, against M, beside what the norms predict."""
    question = "When are outputs lost, and was it foreseen?"
    (one,) = axes = panels(ax, 1, columns=1, size=(6.4, 3.4), question=question)
    n, places = result.counts[-1], range(len(_sizes(result, "everything")))
    for method in _FEW:
        line = result.line("everything", "float32", n, method)
        _draw(one, list(places), [100 * p.non_finite for p in line], method)
    _ticks(one, _sizes(result, "everything"))
    _predicted(one, result, _sizes(result, "everything"))
    dress(one, x="factor M on all tensors", y="outputs that are not finite, %")
    one.set_ylim(-3, 103)
    _legend(ax, axes, {name: LINES[name] for name in _FEW})
    return one


def plot_soup_gap(result: MagnitudeResult, ax: Any = None) -> Any:
    """Soup less logits ensemble against M, one line for each N: as published, and exact.

    On the caller's Axes: what was published.
    """
    question = "By how much is the soup above the logits ensemble?"
    shown: list[tuple[str, Scoring, str]] = [
        ("float32", "published", "float32, as published"),
        (result.exact, "wrong", _WORDS[result.exact]),
    ]
    axes = panels(ax, 2, columns=2, size=(4.4, 3.4), question=question)
    sizes = _sizes(result, "everything")
    for one, (arithmetic, scoring, words) in zip(axes, shown, strict=False):
        for number, n in enumerate(result.counts):
            line = result.line("everything", arithmetic, n, f"{SOUP} - {ENSEMBLE}", scoring)
            colour = _COUNTS[number % len(_COUNTS)]
            one.fill_between(
                range(len(sizes)),
                [100 * p.low for p in line],
                [100 * p.high for p in line],
                color=colour,
                alpha=0.15,
                linewidth=0,
            )
            values = [100 * p.accuracy for p in line]
            one.plot(
                values, color=colour, linewidth=1.3, marker="o", markersize=3, label=f"N = {n}"
            )
        one.axhline(0, color=INK, linewidth=0.8, linestyle=_DOTTED)
        _ticks(one, sizes)
        dress(one, title=words, x="factor M on all tensors", y="points")
    low = min(one.get_ylim()[0] for one in axes)
    high = max(one.get_ylim()[1] for one in axes)
    for one in axes:
        one.set_ylim(low, high)
    handles, names = axes[0].get_legend_handles_labels()
    name_below(ax, axes, handles, names)
    return axes[0]


def plot_batches(result: MagnitudeResult, ax: Any = None) -> Any:
    """Soup against ensemble, a point for each batch of the test split, a panel for each factor.

    On the caller's Axes: the factor of the largest gap.
    """
    sizes = list(_sizes(result, "everything"))
    if ax is not None:
        sizes = [widest(result).size]
    question = f"Soup against ensemble of {result.counts[-1]}, batch by batch, as published"
    axes = panels(ax, len(sizes), columns=4, size=(2.3, 2.3), question=question)
    for one, size in zip(axes, sizes, strict=True):
        seen = [b for b in result.batches if b.size == size]
        one.plot([0, 100], [0, 100], color=INK, linewidth=0.8, linestyle=_DOTTED)
        one.plot(
            [100 * b.soup for b in seen],
            [100 * b.ensemble for b in seen],
            linestyle="none",
            marker="o",
            markersize=3,
            color=FAMILIES["uniform-soup"].colour,
            alpha=0.6,
        )
        dress(one, title=f"M = {size:.4g}", x="soup, %", y="ensemble, %", grid="both")
        one.set_xlim(-4, 104)
        one.set_ylim(-4, 104)
        one.set_xticks([0, 50, 100])
        one.set_yticks([0, 50, 100])
    return axes[0]


def plot_disturbed(result: MagnitudeResult, ax: Any = None) -> Any:
    """The other disturbances: accuracy against their size, a panel for each.

    It has one of them at least. On the caller's Axes: the first one.
    """
    shown = disturbances(result)[: 1 if ax is not None else None]
    question = f"What else disturbs ingredients, and what does it do to {result.counts[-1]}?"
    axes = panels(ax, len(shown), columns=3, size=(3.9, 3.2), question=question)
    words = dict(result.axes)
    for one, name in zip(axes, shown, strict=True):
        arithmetic = "float64" if name == "weights" else "float32"
        _columns(one, result, name, arithmetic, "wrong", {key: LINES[key] for key in _FEW})
        title = f"{name}, in float64" if name == "weights" else name
        dress(one, title=title, x=words[name], y="accuracy, %")
        one.set_ylim(-3, 103)
    _legend(ax, axes, {key: LINES[key] for key in _FEW})
    return axes[0]


def widest(result: MagnitudeResult) -> Point:
    """Where the soup is furthest above the ensemble in float32 as published."""
    gap, n = f"{SOUP} - {ENSEMBLE}", result.counts[-1]
    line = result.line("everything", "float32", n, gap, "published")
    return max(line, key=lambda p: p.accuracy)


def disturbances(result: MagnitudeResult) -> list[str]:
    """All but the published one."""
    return [name for name, _ in result.perturbations if name != "everything"]


def _columns(
    ax: Any,
    result: MagnitudeResult,
    perturbation: str,
    arithmetic: str,
    scoring: Scoring,
    methods: Iterable[str],
) -> None:
    sizes = _sizes(result, perturbation)
    for method in methods:
        line = result.line(perturbation, arithmetic, result.counts[-1], method, scoring)
        if line:
            _draw(ax, list(range(len(sizes))), [100 * p.accuracy for p in line], method)
    _ticks(ax, sizes)


def _draw(ax: Any, places: list[int], values: list[float], method: str) -> None:
    family, dash = LINES[method]
    colour, marker = FAMILIES[family].colour, FAMILIES[family].marker
    ax.plot(
        places,
        values,
        color=colour,
        linestyle=dash,
        linewidth=1.3,
        marker=marker,
        markersize=3,
        markeredgewidth=0,
    )


def _sizes(result: MagnitudeResult, perturbation: str) -> tuple[float, ...]:
    return tuple(dict.fromkeys(p.size for p in result.points if p.perturbation == perturbation))


def _ticks(ax: Any, sizes: Sequence[float]) -> None:
    ax.set_xticks(range(len(sizes)), [f"{size:.4g}" for size in sizes], rotation=90)
    ax.set_xlim(-0.4, len(sizes) - 0.6)


def _predicted(ax: Any, result: MagnitudeResult, sizes: Sequence[float]) -> None:
    """A line where the norms of a single network say that float32 is full."""
    predicted = result.full("single", "predicted")
    if not math.isfinite(predicted) or not sizes[0] <= predicted <= sizes[-1]:
        return
    place = place_of(sizes, predicted)
    ax.axvline(place, color=FAMILIES["control"].colour, linewidth=1, linestyle=_DASHED)


def place_of(sizes: Sequence[float], value: float) -> float:
    """Where a value stands between evenly spaced marks of rising sizes.

    >>> place_of([1.0, 10.0, 1000.0], 100.0)
    1.5
    """
    for at, (low, high) in enumerate(pairwise(sizes)):
        if low <= value <= high:
            return at + math.log(value / low) / math.log(high / low)
    raise ValueError(value)


def _legend(ax: Any, axes: Sequence[Any], methods: Mapping[str, tuple[str, Any]]) -> None:
    line = optional("matplotlib.lines").Line2D
    handles = [
        line(
            [],
            [],
            color=FAMILIES[family].colour,
            linestyle=dash,
            marker=FAMILIES[family].marker,
            markersize=4,
            markeredgecolor=PAPER,
        )
        for family, dash in methods.values()
    ]
    name_below(ax, axes, handles, [plain(name) for name in methods])


def plot_variance(result: MagnitudeResult, ax: Any = None) -> Any:
    """What averaging leaves of the variance of each tensor's weights."""
    n = result.counts[-1]
    question = "Does averaging halve the variance of weights?"
    (one,) = axes = panels(ax, 1, columns=1, size=(6.4, 3.4), question=question)
    shown = {
        "of_average": ("average of two", BLUE, "s"),
        "of_all": (f"average of {n}", SKY, "D"),
        "delta_of_all": (f"average of {n}, since the start", ORANGE, "v"),
    }
    handles: list[Any] = []
    for quantity, (words, colour, marker) in shown.items():
        rows = [o for o in result.moments if o.quantity == quantity and o.tensor != ALL]
        if not any(math.isfinite(o.value) for o in rows):
            continue
        handles += one.plot(
            range(1, len(rows) + 1),
            [100 * o.value for o in rows],
            color=colour,
            marker=marker,
            markersize=4,
            linewidth=1,
            label=words,
        )
    for share, words in ((50, "independent, two"), (100 / n, f"independent, {n}")):
        one.axhline(share, color=INK, linewidth=0.8, linestyle=_DOTTED)
        place = (1.0, share)
        one.annotate(
            words,
            place,
            xycoords=("axes fraction", "data"),
            xytext=(-2, 2),
            textcoords="offset points",
            fontsize=SMALL - 1,
            ha="right",
        )
    one.xaxis.get_major_locator().set_params(integer=True)
    dress(one, x="layer", y="of the ingredients' variance, %")
    one.set_ylim(bottom=0)
    name_below(ax, axes, handles, [handle.get_label() for handle in handles])
    return one


def plot_bounds(result: MagnitudeResult, ax: Any = None) -> Any:
    """Equations 15 and 16 beside what is measured, layer by layer, on logarithmic axes.

    Its network is fully connected. On the caller's Axes: equation 15.
    """
    axes = panels(ax, 2, columns=2, size=(4.4, 3.4), question="How loose are the bounds?")
    rows = [one for one in result.bounds if one.of == "single"]
    soups = [one for one in result.bounds if one.of == "soup"]
    layers = [one.layer for one in rows]
    drawn: list[list[tuple[str, list[float], str, Any]]] = [
        [
            ("equation 15, C = 1", [o.norm_bound for o in rows], VERMILION, _DASHED),
            ("product of spectral norms", [o.spectral_bound for o in rows], ORANGE, _DASHED),
            ("measured, single", [o.norm for o in rows], FAMILIES["single"].colour, _SOLID),
            ("measured, soup", [o.norm for o in soups], BLUE, _SOLID),
        ],
        [
            ("equation 16", [o.variance_bound for o in rows], VERMILION, _DASHED),
            ("measured, single", [o.variance for o in rows], FAMILIES["single"].colour, _SOLID),
            ("measured, soup", [o.variance for o in soups], BLUE, _SOLID),
        ],
    ]
    titles = ("15: size of activations over the input's", "16: variance of outputs")
    for one, lines, title in zip(axes, drawn, titles, strict=False):
        for words, values, colour, dash in lines:
            one.plot(layers, values, color=colour, linestyle=dash, linewidth=1.3, label=words)
        one.set_yscale("log")
        one.xaxis.get_major_locator().set_params(integer=True)
        dress(one, title=title, x="layer")
        one.legend(fontsize=SMALL - 1, frameon=False)
    return axes[0]
