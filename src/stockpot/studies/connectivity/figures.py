"""Figures of the study of connectivity, as values."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np

from ...evaluation.results.estimator import POSITIVE, over_seeds
from ...pages.figures import Axis, Dots, Level, Lines, Series, Surface, series
from ...pages.styles import BLUE, GREEN, VERMILION, Style
from .result import ALL, ConnectivityResult, Plane, Statistics, Way, WeightPath

COLOURS: Mapping[Way, str] = {"line": BLUE, "bezier": VERMILION, "polygon": GREEN}
DASHES: Mapping[Statistics, Any] = {"interpolated": "solid", "re-estimated": (0, (4, 2))}
MOST_PAIRS = 30
"""Pairs that the figure of barriers shows."""
_MOST_PATHS = 60
_What = Literal["loss", "accuracy"]


def paths(result: ConnectivityResult) -> tuple[Lines, Lines]:
    """Test loss and accuracy along the ways between networks: paths thin, their mean thick."""
    mine = [one for one in result.paths if one.split == "test"]
    along = Axis("a, from one network (0) to the other (1)")
    loss, accuracy = _ways(mine, "loss", 1), _ways(mine, "accuracy", 100)
    return (
        Lines(series=loss, x=along, y=Axis("test loss, nats")),
        Lines(series=accuracy, x=along, y=Axis("test accuracy, %")),
    )


def barriers(result: ConnectivityResult) -> Dots:
    """The test barrier of every pair: the mean over pools and its interval."""
    rows = [one for one in result.barriers if one.split == "test" and one.pool != ALL]
    keys = list(dict.fromkeys((one.cell, one.pair) for one in rows))[:MOST_PAIRS]
    both = len({one.statistics for one in rows}) > 1
    drawn: list[Series] = []
    groups: list[tuple[Way, Statistics]] = [(one.way, one.statistics) for one in rows]
    for way, how in dict.fromkeys(groups):
        places, spans = list[int](), list[Any]()
        for place, key in enumerate(keys):
            each = [
                one.barrier
                for one in rows
                if (one.cell, one.pair, one.way, one.statistics) == (*key, way, how)
            ]
            if each:
                places.append(place)
                spans.append(over_seeds(each, POSITIVE))
        style = Style(COLOURS[way], "s", hollow=how == "re-estimated")
        drawn.append(series(_name(way, how, both), places, spans, style))
    return Dots(
        series=tuple(drawn),
        names=tuple(": ".join(filter(None, key)) for key in keys),
        x=Axis("barrier on the test split, nats"),
        levels=(Level(0.0, along="x"),),
    )


def plane(result: ConnectivityResult) -> tuple[Surface, ...]:
    """Test loss and accuracy on the first plane through three networks, by distances of weights.

    With batch norm, with statistics estimated again too. Loss is cut at its value at a guess,
    beyond which nothing is told.
    """
    planes = [one for one in result.planes if one.split == "test"]
    first = [one for one in planes if (one.cell, one.pool) == (planes[0].cell, planes[0].pool)]
    return tuple(
        _surface(one, what, f", statistics {one.statistics}" if len(first) > 1 else "")
        for one in first
        for what in ("loss", "accuracy")
    )


def _ways(rows: Sequence[WeightPath], what: _What, factor: float) -> tuple[Series, ...]:
    both = len({one.statistics for one in rows}) > 1
    groups: dict[tuple[Way, Statistics], list[WeightPath]] = {}
    for one in rows:
        groups.setdefault((one.way, one.statistics), []).append(one)
    drawn: list[Series] = []
    for (way, how), mine in groups.items():
        values = factor * np.asarray([getattr(one, what) for one in mine])
        thin = Style(COLOURS[way], "", DASHES[how], width=0.5, alpha=0.35)
        thick = Style(COLOURS[way], "", DASHES[how], width=1.8)
        at = mine[0].at
        if len(mine) > 1:
            drawn += [
                Series(name="", x=at, value=tuple(v), style=thin) for v in values[:_MOST_PATHS]
            ]
        mean = tuple(values.mean(axis=0))
        drawn.append(Series(name=_name(way, how, both), x=at, value=mean, style=thick))
    return tuple(drawn)


def _name(way: Way, how: Statistics, both: bool) -> str:
    return f"{way}, {how}" if both else way


def _surface(plane: Plane, what: _What, more: str) -> Surface:
    values = np.asarray(getattr(plane, what))
    if what == "accuracy":
        values = 100 * values
    else:
        ends = max(
            plane.loss[plane.places.index(v)][plane.places.index(u)]
            for u, v in ((0.0, 0.0), (1.0, 0.0), (0.0, 1.0))
        )
        values = np.minimum(values, max(4 * ends, ends + 2.5))
    _, (bx, by), (cx, cy) = plane.corners
    u, v = np.meshgrid(plane.places, plane.places)
    return Surface(
        x=u * bx + v * cx,
        y=u * by + v * cy,
        heights=values,
        marks=tuple((name, x, y) for name, (x, y) in zip("ABC", plane.corners, strict=True)),
        label="distance of weights",
        title=f"test {what}, {'nats' if what == 'loss' else '%'}{more}",
    )
