"""Figures of the forecast's validation; a plot takes a result and an Axes, never a model."""

import math
from collections.abc import Sequence
from typing import Any

from ....pages.axes import SMALL, dress, panels, reference
from ....pages.styles import INK
from .validation import Learned, Validation

_COLOURS = {"digits": "#0072b2", "fashion-mnist": "#d55e00", "emoji": "#009e73", "text": "#cc79a7"}
_MARKERS = "osD^vPX*"
_OTHER = "#6b7280"
_ENDS = (-0.25, 1.6)


def plot_forecast(result: Validation, ax: Any = None) -> Any:
    """Every merge as it was forecast with its data set left out, against what was seen."""
    question = "Is a merge worth what was forecast?"
    (ax,) = panels(ax, 1, columns=1, size=(5.4, 5.0), question=question)
    for place, name in enumerate(dict.fromkeys(one.data for one in result.points)):
        own = [one for one in result.points if one.data == name]
        ax.plot(
            [_inside(one.forecast) for one in own],
            [_inside(one.seen) for one in own],
            linestyle="none",
            marker=_MARKERS[place % len(_MARKERS)],
            markersize=3.5,
            markeredgewidth=0,
            alpha=0.55,
            color=_COLOURS.get(name, _OTHER),
            label=name,
        )
    _diagonal(ax)
    dress(ax, x="forecast, its data set left out", y="seen", grid="both")
    reference(ax, 1.0, "as good as the mean ingredient")
    ax.set_xlim(*_ENDS)
    ax.set_ylim(*_ENDS)
    ax.legend(fontsize=SMALL, frameon=False, loc="upper left")
    return ax


def plot_calibration(result: Validation, ax: Any = None) -> Any:
    """Merges in bins of the forecast: the mean that was seen, and its quartiles; see above."""
    question = "Are merges of one forecast worth that much on average?"
    (ax,) = panels(ax, 1, columns=1, size=(5.4, 4.2), question=question)
    at = [one.forecast for one in result.bins]
    for one in result.bins:
        ax.plot([one.forecast] * 2, [one.low, one.high], color=_COLOURS["digits"], linewidth=1.3)
    ax.plot(
        at,
        [one.seen for one in result.bins],
        linestyle="none",
        marker="o",
        markersize=5,
        color=_COLOURS["digits"],
        label="mean seen, and quartiles",
    )
    _diagonal(ax)
    dress(ax, x="mean forecast of a bin", y="seen", grid="both")
    ax.legend(fontsize=SMALL, frameon=False, loc="upper left")
    return ax


def plot_learning(result: Validation, ax: Any = None) -> Any:
    """Rank correlation in data sets left out, after fitting to so many pools of the others."""
    question = "Would more pools make the forecast better?"
    (ax,) = panels(ax, 1, columns=1, size=(5.4, 3.8), question=question)
    _line(ax, result.curve, "overall", "all merges", ("#0072b2", "o"))
    _line(ax, result.curve, "same_origin", "merges of one origin", ("#d55e00", "s"))
    dress(ax, x="pools that it was fitted to", y="Spearman's rank correlation")
    ax.set_xscale("log", base=2)
    ax.set_xticks([one.pools for one in result.curve], [str(one.pools) for one in result.curve])
    ax.minorticks_off()
    ax.set_ylim(min(0.0, *(one.same_origin for one in result.curve)), 1.0)
    ax.legend(fontsize=SMALL, frameon=False, loc="lower right")
    return ax


def plot_predictors(result: Validation, ax: Any = None) -> Any:
    """Rank correlations of the forecast and of simpler rules, with their intervals."""
    question = "Is the forecast better than simple rules?"
    (ax,) = panels(ax, 1, columns=1, size=(5.4, 3.8), question=question)
    rows = [one for one in result.ranks if one.left == "data" and one.part == "all"]
    among = list(dict.fromkeys(one.among for one in rows))
    names = list(dict.fromkeys(one.predictor for one in rows))
    colours = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", _OTHER)
    for one in rows:
        number = names.index(one.predictor)
        place = among.index(one.among) + 0.16 * (number - (len(names) - 1) / 2)
        if math.isfinite(one.low):
            ax.plot([one.low, one.high], [place] * 2, color=colours[number % 5], linewidth=1.3)
        ax.plot(
            [one.value],
            [place],
            linestyle="none",
            marker=_MARKERS[number % len(_MARKERS)],
            color=colours[number % 5],
            markersize=5,
            label=one.predictor if one.among == among[0] else None,
        )
    dress(ax, x="Spearman's rank correlation, data sets left out in turn", grid="x")
    ax.axvline(0, color=INK, linewidth=0.8)
    ax.set_yticks(range(len(among)), [_words(one) for one in among], fontsize=SMALL)
    ax.set_ylim(len(among) - 0.5, -0.5)
    ax.tick_params(axis="y", length=0)
    ax.legend(
        fontsize=SMALL, frameon=False, loc="lower center", bbox_to_anchor=(0.4, 1.0), ncols=4,
        handletextpad=0.2, columnspacing=1.0,
    )  # fmt: skip
    return ax


def _words(among: str) -> str:
    return {"all": "all merges", "same origin": "merges of\none origin"}.get(
        among, "within a method,\nmean over methods"
    )


def _line(
    ax: Any, curve: Sequence[Learned], field: str, words: str, style: tuple[str, str]
) -> None:
    values = [getattr(one, field) for one in curve]
    pools = [one.pools for one in curve]
    ax.plot(
        pools, values, color=style[0], marker=style[1], markersize=5, linewidth=1.4, label=words
    )


def _diagonal(ax: Any) -> None:
    ax.plot(_ENDS, _ENDS, color=INK, linewidth=0.8, linestyle=(0, (2, 3)))


def _inside(value: float) -> float:
    """Values beyond the axes lie on their edge."""
    return min(max(value, _ENDS[0]), _ENDS[1])
