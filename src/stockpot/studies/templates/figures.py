"""Figures of the study of templates, as values."""

import math

from ...pages.figures import Axis, Level, Lines, Mosaic, Series, Strip, series
from ...pages.mosaics import largest
from ...pages.styles import BLUE, GREEN, GREY, PINK, VERMILION, Style
from ...pages.units import unit_of
from .result import Measure, Subject, TemplatesResult

PAPER_DECAY = 0.1
"""The weight decay in the published code of arXiv 2411.09263; its text does not name one."""


def templates(result: TemplatesResult, cell: str) -> Mosaic:
    """Class means, and for each weight decay one network's templates and the average's.

    A network and its average share one colour scale, the largest weight of the two; class means
    and centred means have one each.
    """
    means = result.shown(cell, None)
    strips = [Strip(one.label, one.values, largest([one.values])) for one in means]
    for decay in result.decays(cell):
        shown = result.shown(cell, decay)
        scale = largest([one.values for one in shown])
        strips += [Strip(f"{one.label}, {decay:g}", one.values, scale) for one in shown]
    return Mosaic(strips=tuple(strips), names=means[0].names, columns=10, inches=0.72)


def pairs(result: TemplatesResult, cell: str) -> Mosaic:
    """Templates of classes c and c + L/2 and their average, on one scale.

    Of one network with the weight decay nearest 0.1, the one in the paper's code.
    """
    decay = min(result.decays(cell), key=lambda one: abs(one - PAPER_DECAY))
    one = result.shown(cell, decay)[0]
    half = len(one.values) // 2
    first, second = one.values[:half], one.values[half : 2 * half]
    scale = largest([first, second])
    strips = (
        Strip("one class", first, scale),
        Strip("the other", second, scale),
        Strip("average", (first + second) / 2, scale),
    )
    names = zip(one.names[:half], one.names[half : 2 * half], strict=True)
    both = tuple(f"{a}\n+ {b}" for a, b in names)
    return Mosaic(
        strips=strips, names=both, columns=10, inches=0.85, title=f"weight decay {decay:g}"
    )


def kernels(result: TemplatesResult, cell: str) -> Mosaic:
    """The first layer's kernels or units, of some networks and of their average, on one scale.

    Of the smallest weight decay; at most 64.
    """
    shown = result.shown(cell, result.decays(cell)[0])
    scale = largest([one.values for one in shown])
    strips = tuple(Strip(one.label, one.values, scale) for one in shown)
    return Mosaic(strips=strips, names=(), columns=16, inches=0.4, title=result.kind(cell))


def resemblance(result: TemplatesResult, cell: str) -> Lines:
    """How like templates of single networks are to class means, against weight decay."""
    return _lines(
        result,
        cell,
        "likeness to the class mean",
        _line(result, cell, "single", "correlation", "correlation, centred mean", Style(BLUE)),
        _line(result, cell, "single", "ssim", "SSIM, centred mean", Style(GREEN)),
        _line(result, cell, "single", "correlation_raw", "correlation, raw mean", Style(VERMILION)),
        _line(result, cell, "single", "ssim_raw", "SSIM, raw mean", Style(PINK)),
    )


def accuracy(result: TemplatesResult, cell: str) -> Lines:
    """Accuracy of single networks and of averages against weight decay."""
    dashed = Style(BLUE, dash=(0, (3, 3)))  # both lines show where one covers the other
    return _lines(
        result,
        cell,
        unit_of("accuracy").label(),
        _line(result, cell, "single", "accuracy", "single", Style(GREY), 100),
        _line(result, cell, "merged", "accuracy", "merged", dashed, 100),
    )


def contrast(result: TemplatesResult, cell: str) -> Lines:
    """Contrast after averaging over contrast before, against weight decay.

    The dotted line is where averages of independent templates would be.
    """
    count = result.parents(cell, "merged")
    return _lines(
        result,
        cell,
        "contrast after over before",
        _line(result, cell, "merged", "ratio", f"average of {count} networks", Style(BLUE)),
        _line(result, cell, "pair", "ratio", "average of two classes", Style(VERMILION)),
        _line(result, cell, "merged", "alike", "correlation of networks", Style(GREEN)),
        levels=tuple(
            Level(1 / math.sqrt(parents), f"{parents} independent ones")
            for parents in sorted({count, result.parents(cell, "pair")} - {0, 1})
        ),
    )


def _line(
    result: TemplatesResult,
    cell: str,
    subject: Subject,
    measure: Measure,
    words: str,
    style: Style,
    factor: float = 1,
) -> Series:
    """Means at even steps, with their intervals."""
    spans = [result.at(cell, decay, subject, measure) for decay in result.decays(cell)]
    return series(words, range(len(spans)), spans, style, factor=factor)


def _lines(
    result: TemplatesResult, cell: str, y: str, *lines: Series, levels: tuple[Level, ...] = ()
) -> Lines:
    names = tuple(f"{decay:g}" for decay in result.decays(cell))
    seen = tuple(one for one in lines if any(map(math.isfinite, one.value)))
    return Lines(series=seen, x=Axis("weight decay", names=names), y=Axis(y), levels=levels)
