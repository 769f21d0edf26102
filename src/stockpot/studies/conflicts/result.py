"""What the study of conflicts gives."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import median
from typing import ClassVar

from ..interference.result import ALL
from ..onepass.statistics import Centre
from ..study import MainTable, StudyResult

GAP = 0.05
"""Agreement of signs that is so far from what angles say is pointed at."""


LARGE = 100
"""Tensors with fewer entries are not named in sentences where there are others."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConflictPair:
    """Two task vectors of one tensor, or of all together.

    Attributes:
        tensor: its name; "all" for all of them as one vector.
        centre: what task vectors are differences from.
        one, other: the models.
        cosine: of the angle between them; NaN where one is 0.
        agree: of the elements at which neither is 0, the share at which their signs are equal.
        expected: 1 - arccos(cosine) / π, the share of two jointly normal vectors at this angle.
    """

    tensor: str
    centre: Centre
    one: str
    other: str
    cosine: float
    agree: float
    expected: float


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskNorm:
    """One task vector of one tensor, or of all together.

    Attributes:
        tensor, model: their names.
        entries: how many the tensor has.
        norm: |δ|.
        relative: |δ| / |θ|, of the model itself.
        nonzero: the share of elements at which δ is not 0.
    """

    tensor: str
    model: str
    entries: int
    norm: float
    relative: float
    nonzero: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Election:
    """How clear an election of signs would be in one tensor, or in all together.

    Attributes:
        tensor: its name.
        majority: of all entries of task vectors that are not 0, the share with the sign that most
            models have at that element; half of those with a tie.
        unanimous: of the elements at which some task vector is not 0, the share at which no two
            have opposite signs.
    """

    tensor: str
    majority: float
    unanimous: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ConflictsResult(StudyResult):
    """What `conflicts` found.

    Attributes:
        title: the question.
        models: what they are called.
        centre: what task vectors are differences from: the base, or the mean of the models.
        pairs, norms, elections: of each tensor, and of all.
        facts: for a reader.
    """

    file_kind: ClassVar[str] = "conflicts"
    main_figure: ClassVar[str] = "stockpot.studies.conflicts.figures:plot_task_cosines"
    main_table: ClassVar[MainTable] = ConflictPair, "pairs"

    title: str
    models: tuple[str, ...]
    centre: Centre
    pairs: tuple[ConflictPair, ...]
    norms: tuple[TaskNorm, ...]
    elections: tuple[Election, ...]
    facts: tuple[tuple[str, str], ...]

    @property
    def tensors(self) -> tuple[str, ...]:
        """Their names, in the order of the network, without all."""
        return tuple(one.tensor for one in self.elections if one.tensor != ALL)

    @property
    def sentences(self) -> tuple[str, ...]:
        """What the numbers say."""
        return tuple(_sentences(self))


def _sentences(found: ConflictsResult) -> Iterator[str]:
    overall = [pair for pair in found.pairs if pair.tensor == ALL]
    known = [pair for pair in overall if math.isfinite(pair.cosine)]
    if not known:
        yield "The models are copies: no task vector is longer than 0."
        return
    yield (
        f"Around the {found.centre}, task vectors have cosines of "
        f"{_span([p.cosine for p in known])} and their signs agree at "
        f"{_span([p.agree for p in known], percent=True)} of elements; jointly normal vectors at "
        f"these angles would agree at {_span([p.expected for p in known], percent=True)}."
    )
    count = len(found.models)
    if found.centre == "mean":
        yield (
            f"Task vectors around the mean sum to 0: {count} of equal length that are alike in "
            f"nothing have cosines of {-1 / (count - 1):.3g}"
            + (", whatever they have learned: give --base." if count == 2 else ".")
        )
    every = next(one for one in found.elections if one.tensor == ALL)
    yield (
        f"The sign that most models have at an element is that of {every.majority:.1%} of entries"
        + (
            f"; at {every.unanimous:.1%} of elements no two disagree."
            if found.centre == "base"
            else "."
        )
    )
    gap = math.fsum(p.agree - p.expected for p in known) / len(known)
    if abs(gap) > GAP:
        yield (
            "Signs agree oftener than the angles say: many small entries move alike, as where "
            "weight decay alone moves weights, and few large ones do not."
            if gap > 0
            else "Signs agree more rarely than the angles say: a few large entries make the angle."
        )
    sizes = {one.tensor: one.entries for one in found.norms}
    large = {name for name, size in sizes.items() if size >= LARGE} or set(sizes)
    angles = [p for p in found.pairs if p.tensor in large - {ALL} and math.isfinite(p.cosine)]
    if not angles:
        return
    low = min(angles, key=lambda pair: pair.cosine)
    yield (
        f"They differ most in '{low.tensor}', where {low.one} and {low.other} have a cosine of "
        f"{low.cosine:.3f} (median over layers and pairs: {median(p.cosine for p in angles):.3f})."
    )
    norms = [one for one in found.norms if one.tensor == ALL]
    long, brief = (pick(norms, key=lambda one: one.norm) for pick in (max, min))
    yield (
        f"The longest task vector, of {long.model}, has {long.relative:.2%} of its model's length; "
        + (
            f"it is {long.norm / brief.norm:.2f} times as long as that of {brief.model}."
            if brief.norm
            else f"that of {brief.model} is 0."
        )
    )


def _span(values: Sequence[float], *, percent: bool = False) -> str:
    low, high = (format(pick(values), ".1%" if percent else ".3f") for pick in (min, max))
    return low if low == high else f"{low} to {high}"
