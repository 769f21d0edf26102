"""What the study of templates gives: weights as pictures, and numbers beside them
(arXiv 2411.09263, sections 3 and 6.1)."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from ...evaluation.results.estimator import CORRELATION, POSITIVE, SHARE, Bounds, Shared, over_seeds
from ...evaluation.results.intervals import Interval
from ...values.result import Overview
from ..samples import SharedRow, shared_of
from ..study import MainTable, StudyResult

Kind = Literal["classes", "units", "kernels"]
Subject = Literal["single", "merged", "pair"]
Measure = Literal[
    "correlation",
    "correlation_raw",
    "ssim",
    "ssim_raw",
    "matched",
    "contrast",
    "ratio",
    "alike",
    "parent",
    "accuracy",
]
MEASURES: tuple[Measure, ...] = get_args(Measure)
SUBJECTS: tuple[Subject, ...] = get_args(Subject)
_WITHIN: Mapping[Measure, Bounds] = {
    "matched": SHARE,
    "accuracy": SHARE,
    "contrast": POSITIVE,
    "ratio": POSITIVE,
}
"""Between what a measure lies where it is no correlation."""
SHOWN: tuple[Measure, ...] = (
    *("correlation", "correlation_raw", "ssim", "contrast", "ratio", "alike", "accuracy"),
)
"""What the terminal shows."""
_WORDS = (
    "of: one network, their average, or the average of two classes' templates. correlation, ssim: "
    "with the centred class mean; correlation_raw: with the class mean. contrast: standard "
    "deviation over pixels; ratio: over its parents'. alike: correlation of two parents. "
    "accuracy: on test."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class TemplateRow:
    """Means over the templates of one pool's networks with one weight decay.

    Attributes:
        cell: of the sweep; the network's name without one.
        seed: of the pool.
        weight_decay: that the networks were trained with.
        subject: single (the mean over networks), merged (their average), or pair (within a single
            network the average of the templates of classes c and c + L/2, set against the average
            of what those are set against).
        kind: classes of a linear classifier; units or kernels of another network's first layer.
        parents: how many templates went into one: 1, or how many were averaged.
        correlation, correlation_raw: Pearson's, over pixels, with the centred class mean (less the
            mean over classes), and with the class mean itself. NaN for units and kernels, as the
            next three.
        ssim, ssim_raw: structural similarity, both brought to one mean and deviation.
        matched: share of classes whose template correlates more with its own centred class mean
            than with any other; NaN for pairs.
        contrast: standard deviation over pixels.
        ratio: contrast over the root of the mean square of the parents' contrasts; NaN for single,
            as the next two. Of n templates that have nothing in common it is 1/√n.
        alike: mean correlation of two parents.
        parent: mean correlation with a parent.
        accuracy: on the test split; NaN for pairs.
    """

    cell: str
    seed: int
    weight_decay: float
    subject: Subject
    kind: Kind
    parents: int
    correlation: float = math.nan
    correlation_raw: float = math.nan
    ssim: float = math.nan
    ssim_raw: float = math.nan
    matched: float = math.nan
    contrast: float = math.nan
    ratio: float = math.nan
    alike: float = math.nan
    parent: float = math.nan
    accuracy: float = math.nan


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Pictures:
    """Templates, or class means, to be drawn: of the first pool of a cell.

    Attributes:
        cell: of the sweep.
        weight_decay: of the networks; None of class means.
        label: "class mean", "centred mean", "one network", "merged", "ingredient-00" ...
        names: of each picture.
        values: float32 [R, C, H, W].
    """

    cell: str
    weight_decay: float | None
    label: str
    names: tuple[str, ...]
    values: NDArray[np.float32]


def subject_at(decay: float, subject: Subject) -> str:
    """Whose accuracy it is, in `TemplatesResult.shared`."""
    return f"{subject}, weight decay {decay!r}"


@dataclass(frozen=True, slots=True, kw_only=True)
class TemplatesResult(StudyResult):
    """What `templates` found.

    Attributes:
        title: the question.
        cells: in their order.
        rows: of every cell, pool, weight decay and subject.
        pictures: what is drawn.
        facts: for a reader.
        shared: of each accuracy; none in files of earlier versions.
    """

    file_kind: ClassVar[str] = "templates"
    main_figure: ClassVar[str] = "stockpot.studies.templates.figures:plot_templates"
    main_table: ClassVar[MainTable] = TemplateRow, "rows"

    title: str
    cells: tuple[str, ...]
    rows: tuple[TemplateRow, ...]
    pictures: tuple[Pictures, ...]
    facts: tuple[tuple[str, str], ...]
    shared: tuple[SharedRow, ...] = ()

    def kind(self, cell: str) -> Kind:
        """What the cell's templates are of."""
        return next(row.kind for row in self.rows if row.cell == cell)

    def decays(self, cell: str) -> tuple[float, ...]:
        """Its weight decays, ascending."""
        return tuple(sorted({row.weight_decay for row in self.rows if row.cell == cell}))

    def parents(self, cell: str, subject: Subject) -> int:
        """How many templates go into one; the most where that differs; 0 where there is none."""
        mine = (r.parents for r in self.rows if (r.cell, r.subject) == (cell, subject))
        return max(mine, default=0)

    def at(self, cell: str, decay: float, subject: Subject, measure: Measure) -> Interval:
        """Mean over pools with its interval; NaN where there is nothing of the kind."""
        values = [
            float(getattr(row, measure))
            for row in self.rows
            if (row.cell, row.weight_decay, row.subject) == (cell, decay, subject)
        ]
        if not values:
            return Interval(math.nan, math.nan, math.nan)
        of_samples = measure == "accuracy"
        shared = (
            shared_of(self.shared, cell, subject_at(decay, subject)) if of_samples else Shared()
        )
        return over_seeds(values, _WITHIN.get(measure, CORRELATION), shared)

    def shown(self, cell: str, decay: float | None) -> tuple[Pictures, ...]:
        """The pictures of one weight decay, or of class means."""
        return tuple(p for p in self.pictures if (p.cell, p.weight_decay) == (cell, decay))

    @property
    def sentences(self) -> tuple[str, ...]:
        """What the numbers say, from the smallest weight decay to the largest."""
        return tuple(_sentences(self))

    def overview(self) -> tuple[Overview, ...]:
        """Of the terminal."""
        return tuple(
            Overview(
                cell,
                ("weight decay", "of", *SHOWN),
                tuple(
                    (f"{decay:g}", who, *(self.at(cell, decay, who, m).value for m in SHOWN))
                    for decay in self.decays(cell)
                    for who in SUBJECTS
                    if self.parents(cell, who)
                ),
                _WORDS if cell == self.cells[-1] else "",
            )
            for cell in self.cells
        )


def _sentences(found: TemplatesResult) -> Iterator[str]:
    for cell in found.cells:
        decays = found.decays(cell)
        ends = decays if len(decays) == 1 else (decays[0], decays[-1])
        if found.kind(cell) == "classes":
            for decay in ends:
                one = found.at(cell, decay, "single", "correlation")
                raw = found.at(cell, decay, "single", "correlation_raw")
                accuracy = found.at(cell, decay, "single", "accuracy")
                yield (
                    f"{cell}, weight decay {decay:g}: a template's correlation with its centred "
                    f"class mean is {words(one)}, with the class mean itself {words(raw)}; "
                    f"accuracy is {words(accuracy, 1, 100)}%."
                )
        yield from _fading(found, cell, ends)


def _fading(found: TemplatesResult, cell: str, ends: Sequence[float]) -> Iterator[str]:
    count = found.parents(cell, "merged")
    for decay in ends if count > 1 else ():
        ratio = found.at(cell, decay, "merged", "ratio")
        alike = found.at(cell, decay, "merged", "alike")
        yield (
            f"{cell}, weight decay {decay:g}: averaging {count} networks leaves {words(ratio)} of "
            f"a template's contrast (independent ones would keep {1 / math.sqrt(count):.2f}); "
            f"before, two networks' templates correlate by {words(alike)}."
        )
    for decay in ends if found.parents(cell, "pair") else ():
        ratio = found.at(cell, decay, "pair", "ratio")
        parent = found.at(cell, decay, "pair", "parent")
        yield (
            f"{cell}, weight decay {decay:g}: the average of two classes' templates keeps "
            f"{words(ratio)} of their contrast and correlates with each by {words(parent)}."
        )


def words(one: Interval, digits: int = 3, factor: float = 1) -> str:
    """A value with its interval: "0.123 [0.101, 0.145]"; the value alone without one."""
    value = f"{factor * one.value:.{digits}f}"
    if not (math.isfinite(one.low) and math.isfinite(one.high)):
        return value
    return f"{value} [{factor * one.low:.{digits}f}, {factor * one.high:.{digits}f}]"
