"""Figures of the forecast's validation, as values."""

from ....evaluation.results.intervals import Interval
from ....pages.figures import Axis, Dots, Level, Lines, Series, series
from ....pages.styles import BLUE, GREEN, GREY, ORANGE, PINK, VERMILION, Style
from .validation import Validation

_COLOURS = {"digits": BLUE, "fashion-mnist": VERMILION, "emoji": GREEN, "text": PINK}
_MARKERS = "osD^vPX*"
_ENDS = (-0.25, 1.6)
_AMONG = {"all": "all merges", "same origin": "merges of one origin"}


def forecast(result: Validation) -> Lines:
    """Every merge as it was forecast with its data set left out, against what was seen."""
    names = list(dict.fromkeys(one.data for one in result.points))
    return Lines(
        series=tuple(
            Series(
                name=name,
                x=tuple(_inside(one.forecast) for one in result.points if one.data == name),
                value=tuple(_inside(one.seen) for one in result.points if one.data == name),
                style=Style(
                    _COLOURS.get(name, GREY),
                    _MARKERS[k % len(_MARKERS)],
                    "none",
                    size=3.5,
                    alpha=0.55,
                ),
            )
            for k, name in enumerate(names)
        ),
        x=Axis("forecast, its data set left out", limits=_ENDS),
        y=Axis("seen", limits=_ENDS),
        levels=(Level(0, along="diagonal"), Level(1.0, "as good as the mean ingredient")),
    )


def calibration(result: Validation) -> Lines:
    """Merges in bins of the forecast: the mean that was seen, and its quartiles."""
    bins = result.bins
    seen = series(
        "mean seen, and quartiles",
        [one.forecast for one in bins],
        [Interval(one.seen, one.low, one.high) for one in bins],
        Style(BLUE, dash="none"),
    )
    return Lines(
        series=(seen,),
        x=Axis("mean forecast of a bin", limits=_ENDS),
        y=Axis("seen", limits=_ENDS),
        levels=(Level(0, along="diagonal"),),
    )


def learning(result: Validation) -> Lines:
    """Rank correlation in data sets left out, after fitting to so many pools of the others."""
    pools = tuple(one.pools for one in result.curve)
    lines = (
        ("overall", "all merges", Style(BLUE, "o")),
        ("same_origin", "merges of one origin", Style(VERMILION, "s")),
    )
    return Lines(
        series=tuple(
            Series(
                name=words, x=pools, value=tuple(getattr(one, at) for one in result.curve),
                style=style,
            )
            for at, words, style in lines
        ),
        x=Axis("pools that it was fitted to", "log", names=tuple(map(str, pools)), ticks=pools),
        y=Axis("Spearman's rank correlation", limits=(None, 1.0)),
    )  # fmt: skip


def predictors(result: Validation) -> Dots:
    """Rank correlations of the forecast and of simpler rules, with their intervals."""
    rows = [one for one in result.ranks if one.left == "data" and one.part == "all"]
    among = list(dict.fromkeys(one.among for one in rows))
    colours = (BLUE, ORANGE, GREEN, PINK, GREY)
    return Dots(
        series=tuple(
            series(
                name,
                [among.index(one.among) for one in rows if one.predictor == name],
                [Interval(o.value, o.low, o.high) for o in rows if o.predictor == name],
                Style(colours[k % 5], _MARKERS[k % len(_MARKERS)]),
            )
            for k, name in enumerate(dict.fromkeys(one.predictor for one in rows))
        ),
        names=tuple(_AMONG.get(one, "within a method") for one in among),
        x=Axis("Spearman's rank correlation, data sets left out in turn"),
        levels=(Level(0, along="x"),),
    )


def _inside(value: float) -> float:
    """Values beyond the axes lie on their edge."""
    return min(max(value, _ENDS[0]), _ENDS[1])
