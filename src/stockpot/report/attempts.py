"""What searches tried: files, and figures of the score over trials and against each field."""

import json
import math
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

from ..evaluation.results.comparison import Attempt, Comparison
from ..pages.figures import Axis, Lines, Series
from ..pages.styles import BLUE, GREY, INK, Style
from ..pages.units import Unit
from ..texts import csv_text
from .metric_rows import MetricRows

_OF = ("network", "data", "method", "n", "subset", "seed")
_FIXED = (*_OF, "number", "origin", "score", "leads", "problem")
MOST_PANELS = 12
"""Fields that are drawn."""

_DRAWN_BY = ("grid", "random", "tpe", "cma-es")


def attempts_csv(attempts: Sequence[Attempt]) -> str:
    """A row for each attempt; a column for each value that any of them has."""
    names = list(dict.fromkeys(name for one in attempts for name, _ in one.values))
    rows = ({key: getattr(one, key) for key in _FIXED} | dict(one.values) for one in attempts)
    return csv_text([*_FIXED, *names], rows)


def attempts_json(comparison: Comparison) -> str:
    """The same as a list; a score that is no number is null."""
    plain_ = comparison.as_dict()["attempts"]
    return json.dumps(plain_, indent=1, allow_nan=False) + "\n"


def attempts(result: Comparison, shown: MetricRows) -> list[Lines]:
    """The score of each trial on the selection split, and the best until then, search by search."""
    found, unit = _searches(result), shown.unit
    panels: list[Lines] = []
    for name, mine in list(found.items())[:MOST_PANELS]:
        leaders = [one for one in mine if one.leads and _drawn(one)]
        steps = [*leaders, *(replace(one, number=mine[-1].number) for one in leaders[-1:])]
        corners = [(float(at.number), unit.factor * before.score) for before, at in pairwise(steps)]
        line = sorted([*corners, *((float(s.number), unit.factor * s.score) for s in leaders)])
        best = Series(
            name="best until then", x=tuple(x for x, _ in line), value=tuple(y for _, y in line),
            style=Style(BLUE, ""),
        )  # fmt: skip
        dots = _dots(mine, [float(one.number) for one in mine if _drawn(one)], unit)
        panels.append(
            Lines(
                series=(*dots, best),
                x=Axis("trial"),
                y=Axis(f"selection {unit.label()}"),
                title=name if len(found) > 1 else "",
            )
        )
    return panels


def fields(result: Comparison, shown: MetricRows) -> list[Lines]:
    """The score on the selection split against each field that was searched, a panel for each."""
    found, panels = _fields(result), list[Lines]()
    several = len({method for method, _ in found}) > 1
    for method, field in found[:MOST_PANELS]:
        mine = [
            each
            for each in result.attempts
            if each.method == method and _drawn(each) and dict(each.values).get(field) is not None
        ]
        values, names = [dict(each.values)[field] for each in mine], tuple[str, ...]()
        if all(isinstance(value, int | float) and not isinstance(value, bool) for value in values):
            places = [float(str(value)) for value in values]
        else:
            names = tuple(sorted({str(value) for value in values}))
            places = [float(names.index(str(value))) for value in values]
        label = f"{method}: {field}" if several else field
        panels.append(
            Lines(
                series=_dots(mine, places, shown.unit),
                x=Axis(label, names=names),
                y=Axis(f"selection {shown.unit.label()}"),
                width=3.4,
            )
        )
    return panels


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


def _dots(attempts: Sequence[Attempt], places: Sequence[float], unit: Unit) -> tuple[Series, ...]:
    """What a sampler drew as filled dots, what was tried first as hollow ones, named once."""
    shown = list(zip((one for one in attempts if _drawn(one)), places, strict=True))
    seen: set[str] = set()
    named: list[str] = []
    for one, _ in shown:
        first = one.origin not in (*_DRAWN_BY, *seen)
        named.append(one.origin if first else "")
        seen.add(one.origin)
    drawn: list[Series] = []
    for name, style, start in (
        ("drawn by the sampler", Style(GREY, "o", "none", size=3.5), False),
        ("tried first", Style(INK, "D", "none", hollow=True, size=5), True),
    ):
        mine = [k for k, (one, _) in enumerate(shown) if (one.origin not in _DRAWN_BY) is start]
        if mine:
            drawn.append(
                Series(
                    name=name,
                    x=tuple(shown[k][1] for k in mine),
                    value=tuple(unit.factor * shown[k][0].score for k in mine),
                    labels=tuple(named[k] for k in mine),
                    style=style,
                )
            )
    return tuple(drawn)
