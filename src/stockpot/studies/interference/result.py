"""What the study of interference gives, after Choi et al. (CART, arXiv 2412.12153)."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar, Literal

from ...values.result import Overview
from ..study import MainTable, StudyResult

Centre = Literal["average", "base"]
ALL = "all"
"""The tensor of a row over all of them."""

_WORDS = (
    "rank: share of the full rank that is kept. interference: of two tasks' low-rank task vectors, "
    "summed over pairs. left out: of the task vectors' squared norm. overlap: of the row spaces of "
    "two tasks."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """One matrix, or all of them, at one rank around one centre.

    Attributes:
        tensor: its name; "all" for the mean over matrices of interference and overlap, and the sum
            of everything else.
        rows, columns: of the matrix; 0 for all.
        centre: what task vectors are differences from.
        rank: fraction of the full rank; count: the directions that it is.
        interference: I(k) = Σ_i Σ_{j≠i} |S~_i V~_i V~_jᵀ S~_j|, between 0 and T (T - 1).
        residual: R(k) = Σ_i |τ_i - SVD_k(τ_i)|².
        relative: R(k) / Σ_i |τ_i|².
        overlap: mean over pairs of |V~_i V~_jᵀ|² / k: 1 for one space, k / N for random ones.
    """

    tensor: str
    rows: int
    columns: int
    centre: Centre
    rank: float
    count: int
    interference: float
    residual: float
    relative: float
    overlap: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """Two tasks at one rank around one centre: means over matrices of both measures."""

    centre: Centre
    rank: float
    one: str
    other: str
    interference: float
    overlap: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Spectrum:
    """One task's vector of one matrix.

    Attributes:
        norm: |τ|.
        effective_rank: exp of the entropy of its normalised singular values; NaN where the ranks
            stop short of 1.
        full_rank: min(M, N).
        values: singular values over the largest, at `rowspaces.PLACES`.
    """

    tensor: str
    centre: Centre
    task: str
    norm: float
    effective_rank: float
    full_rank: int
    values: tuple[float, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class InterferenceResult(StudyResult):
    """What `interference` found.

    Attributes:
        title: the question.
        tasks: what the models are called.
        centres: the average, and the base where there is one.
        ranks: the grid.
        points: of each matrix, and of all.
        pairs: of tasks.
        spectra: of every matrix and task.
        facts: for a reader.
    """

    file_kind: ClassVar[str] = "interference"
    main_figure: ClassVar[str] = "stockpot.studies.interference.figures:plot_interference"
    main_table: ClassVar[MainTable] = Point, "points"

    title: str
    tasks: tuple[str, ...]
    centres: tuple[Centre, ...]
    ranks: tuple[float, ...]
    points: tuple[Point, ...]
    pairs: tuple[Pair, ...]
    spectra: tuple[Spectrum, ...]
    facts: tuple[tuple[str, str], ...]

    def overall(self, centre: Centre) -> tuple[Point, ...]:
        """Over all matrices, rank by rank."""
        return tuple(p for p in self.points if (p.tensor, p.centre) == (ALL, centre))

    def near(self, rank: float) -> float:
        """The rank of the grid that is nearest, as a quotient."""
        return min(self.ranks, key=lambda one: abs(math.log(one / rank)))

    @property
    def sentences(self) -> tuple[str, ...]:
        """What the numbers say at the rank nearest CART's, and over the grid."""
        return tuple(_sentences(self))

    def overview(self) -> tuple[Overview, ...]:
        """Of the terminal."""
        columns = ("rank", "interference", "left out", "overlap")
        return tuple(
            Overview(
                f"around the {centre}",
                columns,
                tuple(
                    (f"{p.rank:.3g}", p.interference, f"{p.relative:.2%}", f"{p.overlap:.2%}")
                    for p in self.overall(centre)
                ),
                _WORDS if centre == self.centres[-1] else "",
            )
            for centre in self.centres
        )


def _sentences(found: InterferenceResult) -> Iterator[str]:
    rank = found.near(0.08)
    for centre in found.centres:
        at = next(p for p in found.overall(centre) if p.rank == rank)
        yield (
            f"Around the {centre}, {rank:.0%} of the full rank leaves out {at.relative:.1%} of the "
            f"task vectors' squared norm; interference there is {at.interference:.3g} (at most "
            f"{len(found.tasks) * (len(found.tasks) - 1)}), and the row spaces of two tasks share "
            f"{at.overlap:.1%} on average."
        )
    if len(found.centres) == 2:
        pairs = list(zip(found.overall("average"), found.overall("base"), strict=True))
        lower = sum(a.interference < b.interference for a, b in pairs)
        every = "every rank" if lower == len(pairs) else f"{lower} of {len(pairs)} ranks"
        yield (
            f"Interference is lower around the average than around the base at {every} of the grid."
        )
    if len(found.tasks) == 2:
        yield (
            "With two models the centred task vectors are opposite: they share one row space, and "
            "CART is the average at every rank."
        )
