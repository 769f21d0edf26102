"""What searches tried: files, and the score over trials and against each field."""

import json
import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from ..errors import StockpotError
from ..evaluation.results.comparison import Attempt, Comparison
from ..libraries import optional
from ..pages.axes import SMALL, dress, panels
from ..pages.styles import BLUE, GREY, INK
from ..pages.units import Unit, plain, short
from ..texts import csv_text
from .metric_rows import metric_rows

_OF = ("network", "data", "method", "n", "subset", "seed")
_FIXED = (*_OF, "number", "origin", "score", "leads", "problem")
MOST_PANELS = 12
"""Fields that are drawn."""

_ACROSS = 28
"""Characters of names that stand side by side under a panel."""


def attempts_csv(attempts: Sequence[Attempt]) -> str:
    """A row for each attempt; a column for each value that any of them has."""
    names = list(dict.fromkeys(name for one in attempts for name, _ in one.values))
    rows = ({key: getattr(one, key) for key in _FIXED} | dict(one.values) for one in attempts)
    return csv_text([*_FIXED, *names], rows)


def attempts_json(comparison: Comparison) -> str:
    """The same as a list; a score that is no number is null."""
    plain_ = comparison.as_dict()["attempts"]
    return json.dumps(plain_, indent=1, allow_nan=False) + "\n"


def plot_attempts(result: Comparison, ax: Any = None) -> Any:
    """The score of each trial on the selection split, and the best until then.

    Raises:
        StockpotError: where nothing was searched, or `ax` would hold several searches.
    """
    found = _searches(result)
    if not found or (ax is not None and len(found) > 1):
        raise StockpotError(f"one Axes holds one search; this comparison has {len(found)}.")
    unit = metric_rows(result).unit
    some = dict(list(found.items())[:MOST_PANELS])
    axes = panels(ax, len(some), columns=2, size=(4.8, 2.8), question="How did the search go?")
    for one, (name, attempts) in zip(axes, some.items(), strict=True):
        _dots(one, attempts, [float(each.number) for each in attempts if _drawn(each)], unit)
        best = [each for each in attempts if each.leads and _drawn(each)]
        best += [replace(each, number=attempts[-1].number) for each in best[-1:]]
        heights = [unit.factor * each.score for each in best]
        one.step([each.number for each in best], heights, where="post", color=BLUE, linewidth=1.2)
        title = name if len(found) > 1 else ""
        dress(one, title=title, x="trial", y=f"selection {unit.label()}")
        one.xaxis.set_major_locator(optional("matplotlib.ticker").MaxNLocator(integer=True))
    return axes[0]


def plot_fields(result: Comparison, ax: Any = None) -> Any:
    """The score on the selection split against each field that was searched, a panel for each.

    Raises:
        StockpotError: where nothing was searched, or `ax` would hold several fields.
    """
    fields = _fields(result)
    if not fields or (ax is not None and len(fields) > 1):
        raise StockpotError(f"one Axes holds one field; this comparison has {len(fields)}.")
    unit = metric_rows(result).unit
    some = fields[:MOST_PANELS]
    methods = {method for method, _ in fields}
    axes = panels(ax, len(some), columns=3, size=(3.4, 2.6), question="What did it depend on?")
    for one, (method, field) in zip(axes, some, strict=True):
        attempts = [
            each
            for each in result.attempts
            if each.method == method and _drawn(each) and dict(each.values).get(field) is not None
        ]
        values = [dict(each.values)[field] for each in attempts]
        if all(isinstance(value, int | float) and not isinstance(value, bool) for value in values):
            places = [float(str(value)) for value in values]
        else:
            names = sorted({str(value) for value in values})
            places = [float(names.index(str(value))) for value in values]
            heads = [plain(name) for name in short(names, 16)]
            turned = 90 if sum(map(len, heads)) > _ACROSS else 0
            one.set_xticks(range(len(names)), heads, rotation=turned)
        _dots(one, attempts, places, unit)
        label = f"{method}: {field}" if len(methods) > 1 else field
        dress(one, x=plain(label), y=f"selection {unit.label()}")
    return axes[0]


def _searches(result: Comparison) -> dict[str, list[Attempt]]:
    """Attempts of one search each, by what tells it from the others."""
    found: dict[tuple[object, ...], list[Attempt]] = {}
    for one in result.attempts:
        key = (one.network, one.data, one.method, one.n, one.seed, one.subset)
        found.setdefault(key, []).append(one)
    several = len({key[3:] for key in found}) > 1
    return {
        f"{key[2]}, N = {key[3]}, pool {key[4]}, subset {key[5]}" if several else str(key[2]): each
        for key, each in found.items()
    }


def _fields(result: Comparison) -> list[tuple[str, str]]:
    """Methods and fields on which any drawable attempt has a value."""
    return list(
        dict.fromkeys(
            (one.method, name)
            for one in result.attempts
            if _drawn(one)
            for name, value in one.values
            if value is not None
        )
    )


def _drawn(one: Attempt) -> bool:
    return math.isfinite(one.score)


def _dots(ax: Any, attempts: Sequence[Attempt], places: Sequence[float], unit: Unit) -> None:
    """What a sampler drew as filled dots, what was tried first as hollow ones with its name.

    Those may score alike, so each name stands a line above the one before; once, where several
    searches have one of that name.
    """
    shown = [one for one in attempts if _drawn(one)]
    named: list[str] = []
    for one, place in zip(shown, places, strict=True):
        start = one.origin not in ("grid", "random", "tpe", "cma-es")
        height = unit.factor * one.score
        ax.plot(
            [place],
            [height],
            linestyle="none",
            marker="D" if start else "o",
            markersize=5 if start else 3.5,
            color=INK if start else GREY,
            markerfacecolor="none" if start else GREY,
        )
        if start and one.origin not in named:
            ax.annotate(
                plain(one.origin),
                (place, height),
                xytext=(4, 3 + (SMALL + 1) * len(named)),
                textcoords="offset points",
                fontsize=SMALL - 1,
            )
            named.append(one.origin)
