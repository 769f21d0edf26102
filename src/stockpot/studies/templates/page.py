"""The page of the study of templates."""

import math
from collections.abc import Callable, Iterator
from typing import Any

from ...evaluation.results.intervals import Interval
from ...pages.drawing import Drawing, draw
from ...pages.page import Page, Section
from ...pages.tables import Table, interval, keyed, table, words
from ...pages.units import readable
from .figures import (
    plot_contrast,
    plot_kernels,
    plot_pairs,
    plot_resemblance,
    plot_template_accuracy,
    plot_templates,
)
from .result import Measure, Subject, TemplatesResult

_BARS = "Bars are 95% intervals over pools."
_SCALE = "White is 0 (grey in colour images), red positive, blue negative."

_Figure = tuple[str, str, Callable[..., Any], str]
_CLASSES: tuple[_Figure, ...] = (
    (
        "templates",
        "Templates beside class means",
        plot_templates,
        f"{_SCALE} Of the first pool. The two rows of one weight decay share one scale, so that "
        "fading shows; means have scales of their own. What a template shows beyond the centred "
        "mean is what a small weight decay lets it learn.",
    ),
    (
        "pairs",
        "Averages of two classes' templates",
        plot_pairs,
        f"{_SCALE} All three rows share one scale. The average is a mixture of both, and paler "
        "than either: what the two have of opposite signs cancels.",
    ),
    (
        "resemblance",
        "Likeness against weight decay",
        plot_resemblance,
        f"{_BARS} Of single networks. Rising to the right says that likeness is what weight decay "
        "makes, not what classification needs.",
    ),
    (
        "accuracy",
        "Accuracy against weight decay",
        plot_template_accuracy,
        f"{_BARS} Where it falls while likeness rises, the likest templates classify worst.",
    ),
)
_CONTRAST: _Figure = (
    "contrast",
    "Contrast after averaging",
    plot_contrast,
    f"{_BARS} Above the dotted line, what was averaged had something in common; below it, it "
    "was opposed. At 1 nothing fades.",
)
_KERNELS: _Figure = (
    "kernels",
    "The first layer before and after",
    plot_kernels,
    f"{_SCALE} All rows share one scale: paler in the last row is what averaging has lost.",
)


def page(result: TemplatesResult) -> Page:
    """What the page says: what was found, tables, figures."""
    return Page(
        title=result.title,
        sentences=result.sentences,
        sections=(Section("results", "Results", tuple(_tables(result))),),
        drawings=list(_drawings(result)),
        facts=result.facts,
        measured=_measured(),
    )


def _drawings(result: TemplatesResult) -> Iterator[Drawing]:
    for number, cell in enumerate(result.cells):
        planned = _CLASSES if result.kind(cell) == "classes" else (_KERNELS,)
        if len(result.decays(cell)) > 1:
            planned = (*planned, _CONTRAST)
        for name, title, plot, caption in planned:
            if plot is plot_pairs and not result.parents(cell, "pair"):
                continue
            where = f"{name}-{number}" if number else name
            of = f"{title}: {readable(cell)}" if len(result.cells) > 1 else title
            yield draw(plot(result, cell=cell), name=where, title=of, caption=caption)


def _measured() -> list[str]:
    return [
        "A template is a row or kernel of the first layer that has weights, as a picture. The "
        "centred class mean is the mean training image of a class less the mean over classes.",
        "Correlation is Pearson's over pixels. SSIM is structural similarity of both brought to "
        "mean 1/2 and deviation 1/6, in uniform windows of 7 x 7 pixels (3 x 3 below 16 pixels).",
        "Contrast is the standard deviation over pixels. After over before is the average's over "
        "the root of the mean square of what was averaged: sqrt((1 + (n - 1) ρ) / n) for n of "
        "equal contrast and correlation ρ.",
        "A pair are the templates of classes c and c + L/2 of one network; their average is set "
        "against the average of both means. Merged is the average of the networks of one pool "
        "with one weight decay, template by template.",
        "Accuracy is on the test split; class means are of the training split.",
    ]


_COLUMNS: tuple[tuple[Measure, str, float, int], ...] = (
    ("correlation", "correlation, centred", 1, 3),
    ("correlation_raw", "correlation, raw", 1, 3),
    ("ssim", "SSIM, centred", 1, 3),
    ("ssim_raw", "SSIM, raw", 1, 3),
    ("matched", "own mean is likest, %", 100, 0),
    ("contrast", "contrast", 1, 4),
    ("ratio", "after over before", 1, 3),
    ("alike", "correlation of parents", 1, 3),
    ("parent", "correlation with parents", 1, 3),
    ("accuracy", "accuracy, %", 100, 1),
)
_SUBJECTS: tuple[Subject, ...] = ("single", "merged", "pair")


def _tables(result: TemplatesResult) -> Iterator[Table]:
    for cell in result.cells:
        rows: list[tuple[float, Subject]] = [
            (decay, subject)
            for decay in result.decays(cell)
            for subject in _SUBJECTS
            if math.isfinite(result.at(cell, decay, subject, "contrast").value)
        ]
        measures = [
            one
            for one in _COLUMNS
            if any(math.isfinite(result.at(cell, *row, one[0]).value) for row in rows)
        ]
        title = f"Templates of {readable(cell)}" if len(result.cells) > 1 else "Templates"
        yield table(
            title,
            f"{title}: means over templates and pools, with the 95% interval under each.",
            rows,
            keyed("weight decay", lambda row: row[0], "{:g}".format),
            words("of", lambda row: row[1]),
            *(
                interval(heading, _measure(result, cell, measure), digits, factor)
                for measure, heading, factor, digits in measures
            ),
        )


def _measure(
    result: TemplatesResult, cell: str, measure: Measure
) -> Callable[[tuple[float, Subject]], Interval]:
    return lambda row: result.at(cell, *row, measure)
