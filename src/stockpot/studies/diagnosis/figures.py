"""Figures of a diagnosis, as values."""

import math
from itertools import combinations
from statistics import median

from ...evaluation.results.intervals import Interval
from ...pages.figures import Axis, Dots, Heat, Level, heat, series
from ...pages.styles import BLUE, GREY, Style
from ...pages.units import short
from .result import DiagnosisResult


def kinship(result: DiagnosisResult) -> Heat:
    """Correlation of the entries of each layer by pair of models, and with the base."""
    names = short(list(result.names), 9)
    cells = dict[tuple[str, str], float]()
    columns = list[str]()
    for i, j in combinations(range(len(names)), 2):
        columns.append(f"{names[i]} / {names[j]}")
        for one in result.layers:
            if not one.copies[i][j]:
                cells[one.tensor, columns[-1]] = one.correlations[i][j]
    for k, name in enumerate(names if result.bases else []):
        columns.append(f"{name} / base")
        for one in result.layers:
            if one.to_base and not one.still[k]:
                cells[one.tensor, columns[-1]] = one.to_base[k]
    return heat(
        {place: value for place, value in cells.items() if math.isfinite(value)},
        [one.tensor for one in result.layers],
        columns,
        x="correlation: dark is one start, pale another; blank are copies",
        show=lambda value: f"{value:.2f}",
        limit=1.0,
    )


def spreads(result: DiagnosisResult) -> Heat:
    """Standard deviation of each layer over the models' median, as powers of 2."""
    cells = dict[tuple[str, str], float]()
    for one in result.scopes:
        usual = median(one.stds)
        for name, std in zip(result.names, one.stds, strict=True):
            if std > 0 and usual > 0:
                cells[one.tensor, name] = math.log2(std / usual)
    largest = max((abs(value) for value in cells.values()), default=0.0)
    return heat(
        cells,
        [one.tensor for one in result.scopes],
        result.names,
        x="standard deviation over the models' median",
        show=lambda value: f"{2**value:.2f}",
        limit=max(1.0, largest),
    )


def prospects(result: DiagnosisResult) -> Dots:
    """The quality forecast of each method with its interval, the best on top."""
    known = [one for one in result.prospects if one.forecast]
    drawn = [
        series(
            words,
            [place for place, one in enumerate(known) if one.fits is fits],
            [Interval(one.quality, one.low, one.high) for one in known if one.fits is fits],
            Style(colour),
            labels=[f"{one.quality:.2f}" for one in known if one.fits is fits],
        )
        for words, colour, fits in (("fits", BLUE, True), ("not advised here", GREY, False))
    ]
    return Dots(
        series=tuple(one for one in drawn if one.x),
        names=tuple(f"{one.method}, mended" if one.mended else one.method for one in known),
        x=Axis("forecast quality: 1 is the models' mean, 0 is chance"),
        levels=(Level(1.0, along="x"),),
    )
