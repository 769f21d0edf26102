"""Figures of the study of templates; a plot takes a result and an Axes, never a model."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from ...evaluation.results.intervals import Interval
from ...pages.axes import SMALL, dress, panels, reference
from ...pages.mosaics import Strip, largest, plot_mosaic
from ...pages.styles import BLUE, GREEN, GREY, PINK, VERMILION
from ...pages.units import unit_of
from .result import Measure, Pictures, Subject, TemplatesResult

PAPER_DECAY = 0.1
"""The weight decay in the published code of arXiv 2411.09263; its text does not name one."""

_COLOURS: Mapping[str, str] = {
    "correlation": BLUE,
    "correlation_raw": VERMILION,
    "ssim": GREEN,
    "ssim_raw": PINK,
    "single": GREY,
    "merged": BLUE,
    "pair": VERMILION,
    "alike": GREEN,
}


def plot_templates(result: TemplatesResult, ax: Any = None, *, cell: str | None = None) -> Any:
    """Class means, and for each weight decay one network's templates and the average's.

    A network and its average share one colour scale, the largest weight of the two; class means
    and centred means have one each.
    cell: of a sweep; the first without it.
    """
    cell = cell or result.cells[0]
    means = result.shown(cell, None)
    strips = [Strip(one.label, one.values, largest([one.values])) for one in means]
    for decay in result.decays(cell):
        shown = result.shown(cell, decay)
        scale = largest([one.values for one in shown])
        strips += [Strip(f"{one.label}, {decay:g}", one.values, scale) for one in shown]
    names = means[0].names
    question = "Do templates look like class means? Rows by weight decay"
    return plot_mosaic(ax, strips, names, columns=10, question=question, inches=0.72)


def plot_pairs(result: TemplatesResult, ax: Any = None, *, cell: str | None = None) -> Any:
    """Templates of classes c and c + L/2 and their average, on one scale, as `plot_templates`.

    Of one network with the weight decay nearest 0.1, the one in the paper's code.
    """
    cell = cell or result.cells[0]
    decay = min(result.decays(cell), key=lambda one: abs(one - PAPER_DECAY))
    one = result.shown(cell, decay)[0]
    half = len(one.values) // 2
    first, second = one.values[:half], one.values[half : 2 * half]
    scale = largest([first, second])
    strips = [
        Strip("one class", first, scale),
        Strip("the other", second, scale),
        Strip("average", (first + second) / 2, scale),
    ]
    names = [
        f"{a}\n+ {b}" for a, b in zip(one.names[:half], one.names[half : 2 * half], strict=True)
    ]
    question = f"What does the average of two templates look like? Weight decay {decay:g}"
    return plot_mosaic(ax, strips, names, columns=10, question=question, inches=0.85)


def plot_kernels(result: TemplatesResult, ax: Any = None, *, cell: str | None = None) -> Any:
    """The first layer's kernels or units, of some networks and of their average, on one scale.

    Of the smallest weight decay, as `plot_templates`; at most 64.
    """
    cell = cell or result.cells[0]
    shown: tuple[Pictures, ...] = result.shown(cell, result.decays(cell)[0])
    scale = largest([one.values for one in shown])
    strips = [Strip(one.label, one.values, scale) for one in shown]
    kind = result.kind(cell)
    return plot_mosaic(
        ax,
        strips,
        (),
        columns=16,
        question=f"What becomes of the first layer's {kind}?",
        inches=0.4,
    )


def plot_resemblance(result: TemplatesResult, ax: Any = None, *, cell: str | None = None) -> Any:
    """How like templates of single networks are to class means, against weight decay.

    Means over pools with 95% intervals; as `plot_templates`.
    """
    cell = cell or result.cells[0]
    (ax,) = panels(ax, 1, columns=1, size=(5.6, 3.4), question="How like are templates and means?")
    lines: tuple[tuple[Measure, str], ...] = (
        ("correlation", "correlation, centred mean"),
        ("ssim", "SSIM, centred mean"),
        ("correlation_raw", "correlation, raw mean"),
        ("ssim_raw", "SSIM, raw mean"),
    )
    for measure, words in lines:
        _line(ax, result, cell, "single", measure, words, _COLOURS[measure])
    _dress(ax, result, cell, "likeness to the class mean")
    return ax


def plot_template_accuracy(
    result: TemplatesResult, ax: Any = None, *, cell: str | None = None
) -> Any:
    """Accuracy of single networks and of averages against weight decay, as `plot_resemblance`."""
    cell = cell or result.cells[0]
    unit = unit_of("accuracy")
    (ax,) = panels(ax, 1, columns=1, size=(5.6, 3.2), question="Are the likest templates the best?")
    _line(ax, result, cell, "single", "accuracy", "single", _COLOURS["single"], unit.factor)
    dashed = (0, (3, 3))  # both lines show where one covers the other
    _line(ax, result, cell, "merged", "accuracy", "merged", _COLOURS["merged"], unit.factor, dashed)
    _dress(ax, result, cell, unit.label())
    return ax


def plot_contrast(result: TemplatesResult, ax: Any = None, *, cell: str | None = None) -> Any:
    """Contrast after averaging over contrast before, against weight decay, as `plot_resemblance`.

    The dotted line is where averages of independent templates would be.
    """
    cell = cell or result.cells[0]
    (ax,) = panels(ax, 1, columns=1, size=(5.6, 3.4), question="Do averages fade?")
    count = result.parents(cell, "merged")
    _line(ax, result, cell, "merged", "ratio", f"average of {count} networks", _COLOURS["merged"])
    _line(ax, result, cell, "pair", "ratio", "average of two classes", _COLOURS["pair"])
    _line(ax, result, cell, "merged", "alike", "correlation of networks", _COLOURS["alike"])
    _dress(ax, result, cell, "contrast after over before")
    for parents in {count, result.parents(cell, "pair")} - {0, 1}:
        reference(ax, 1 / math.sqrt(parents), f"{parents} independent ones")
    return ax


def _line(
    ax: Any,
    result: TemplatesResult,
    cell: str,
    subject: Subject,
    measure: Measure,
    words: str,
    colour: str,
    factor: float = 1,
    dash: Any = "solid",
) -> None:
    """Means at even steps, with their intervals; what is nowhere a number is left out."""
    spans: list[Interval] = [
        result.at(cell, decay, subject, measure) for decay in result.decays(cell)
    ]
    values = [factor * span.value for span in spans]
    if not np.isfinite(values).any():
        return
    ax.plot(range(len(values)), values, color=colour, marker="o", markersize=4, label=words)
    ax.lines[-1].set_linestyle(dash)
    for place, span in enumerate(spans):
        if math.isfinite(span.low):
            ends = [factor * span.low, factor * span.high]
            ax.plot([place, place], ends, color=colour, linewidth=1.3, solid_capstyle="butt")


def _dress(ax: Any, result: TemplatesResult, cell: str, words: str) -> None:
    decays = result.decays(cell)
    dress(ax, x="weight decay", y=words)
    ax.set_xticks(range(len(decays)), [f"{decay:g}" for decay in decays])
    ax.legend(fontsize=SMALL - 1, frameon=False, loc="upper left", bbox_to_anchor=(1.0, 1.0))
