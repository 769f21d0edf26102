"""The page of the study of interference."""

import math
from statistics import median

from ...pages.drawing import Planned, draw_all
from ...pages.page import Page, Section
from ...pages.tables import EMPTY, Entry, Table
from ...pages.units import readable
from .figures import (
    plot_interference,
    plot_overlap,
    plot_residual,
    plot_spectra,
)
from .result import (
    ALL,
    Centre,
    InterferenceResult,
    Point,
)

_BAND = "The line is the mean, the band the middle 80%, over matrices."


def _interfering(result: InterferenceResult) -> str:
    return f"At rank {result.near(0.08):.3g} I(k) is {_by_centre(result, 'interference', '.3g')}."


def _left_out(result: InterferenceResult) -> str:
    said = _by_centre(result, "relative", ".1%")
    return f"Rank {result.near(0.08):.3g} leaves out {said} of the squared norm."


def _by_centre(result: InterferenceResult, field: str, form: str) -> str:
    rank = result.near(0.08)
    values = {
        centre: getattr(point, field)
        for centre in result.centres
        for point in result.overall(centre)
        if point.rank == rank
    }
    return ", ".join(f"{value:{form}} around the {centre}" for centre, value in values.items())


def _shared(result: InterferenceResult) -> str:
    rank, centre = result.near(0.08), result.centres[0]
    pairs = [one for one in result.pairs if (one.rank, one.centre) == (rank, centre)]
    if not pairs:
        return "One task has no other to share directions with."
    most, least = (pick(pairs, key=lambda one: one.overlap) for pick in (max, min))
    return (
        f"Around the {centre}, {most.one} and {most.other} share most, {most.overlap:.1%}, and "
        f"{least.one} and {least.other} least, {least.overlap:.1%}."
    )


def _falling(result: InterferenceResult) -> str:
    said: list[str] = []
    for centre in result.centres:
        mine = [one for one in result.spectra if one.centre == centre and one.full_rank]
        shares = [one.effective_rank / one.full_rank for one in mine]
        finite = [share for share in shares if math.isfinite(share)]
        if finite:
            said.append(f"{median(finite):.0%} of the full rank around the {centre}")
    if not said:
        return "Effective ranks were not measured: the grid of ranks stops short of 1."
    return f"The effective rank is, in the median, {' and '.join(said)}."


_FIGURES: tuple[Planned, ...] = (
    (
        "interference",
        "Interference against rank",
        plot_interference,
        _interfering,
        f"{_BAND} Where the line of the average lies below that of the base, centring has made "
        "task vectors interfere less.",
    ),
    (
        "residual",
        "What low rank leaves out",
        plot_residual,
        _left_out,
        "The line is of all matrices together, the band the middle 80% of them. A line that falls "
        "steeply at the left says that few directions hold most of what tasks have learned.",
    ),
    (
        "overlap",
        "Directions that pairs of tasks share",
        plot_overlap,
        _shared,
        "Above the diagonal around the average, below it around the base. Row spaces of random "
        "matrices share k / N. Tasks that share much are alike, or will get in each other's way.",
    ),
    (
        "spectra",
        "Spectra of task vectors",
        plot_spectra,
        _falling,
        "Mean and middle 80% over matrices and tasks. The faster it falls, the less a low rank "
        "leaves out.",
    ),
)


def interference_page(result: InterferenceResult) -> Page:
    """What the page says: what was found, tables, figures."""
    return Page(
        title=result.title,
        sentences=result.sentences,
        sections=(
            Section("results", "Results", (_ranks(result), _tasks(result)), (_matrices(result),)),
        ),
        drawings=draw_all(result, _FIGURES),
        facts=result.facts,
        measured=_measured(result),
    )


def _measured(result: InterferenceResult) -> list[str]:
    count = len(result.tasks)
    said = [
        "τ is a model less the centre, S and V its singular values and right singular vectors. "
        "I(k) is the sum over ordered pairs of tasks of |S V Vᵀ S|, with the first k directions of "
        "each and singular values over |τ|: 0 where row spaces are orthogonal, at most "
        f"{count * (count - 1)} for {count} tasks. Its mean over matrices is shown.",
        "R(k) is the sum over tasks of |τ - SVD_k(τ)|², here over the sum of |τ|². Overlap is "
        "|V Vᵀ|² / k, the mean squared cosine of the principal angles between two row spaces.",
        "The effective rank is exp of the entropy of the singular values over their sum.",
    ]
    if result.ranks[-1] < 1:
        said.append("Effective ranks need the rank 1 in the grid and were left out.")
    return said


def _ranks(result: InterferenceResult) -> Table:
    headings = [Entry("rank")]
    for centre in result.centres:
        headings += [
            Entry("interference", f"around the {centre}"),
            Entry("left out, %", f"around the {centre}"),
            Entry("overlap, %", f"around the {centre}"),
        ]
    lines = [
        (
            _rank(rank),
            *(entry for centre in result.centres for entry in _entries(_at(result, centre, rank))),
        )
        for rank in result.ranks
    ]
    caption = "Over all matrices, at each share of the full rank."
    return Table("Interference by rank", caption, tuple(headings), tuple(lines))


def _tasks(result: InterferenceResult) -> Table:
    """Per task: length, and effective rank as a share of the full one."""
    headings = [Entry("task")]
    for centre in result.centres:
        headings += [Entry("length", f"around the {centre}")]
        headings += [Entry("effective rank, % of full", f"around the {centre}")]
    lines: list[tuple[Entry, ...]] = []
    for task in result.tasks:
        line = [Entry(readable(task))]
        for centre in result.centres:
            mine = [s for s in result.spectra if (s.task, s.centre) == (task, centre)]
            line.append(_number(math.sqrt(math.fsum(s.norm**2 for s in mine)), 4))
            shares = [100 * s.effective_rank / s.full_rank for s in mine]
            line.append(_number(math.fsum(shares) / len(shares), 3))
        lines.append(tuple(line))
    caption = "Task vectors over all matrices: their length, and the mean effective rank."
    return Table("Task vectors", caption, tuple(headings), tuple(lines))


def _matrices(result: InterferenceResult) -> Table:
    rank = result.near(0.08)
    points = [p for p in result.points if p.rank == rank and p.tensor != ALL]
    headings = (
        Entry("matrix"),
        Entry("centre"),
        Entry("rows"),
        Entry("columns"),
        Entry("k"),
        Entry("interference"),
        Entry("left out, %"),
        Entry("overlap, %"),
    )
    lines = tuple(
        (
            Entry(readable(p.tensor)),
            Entry(p.centre),
            *(Entry(str(number), key=number) for number in (p.rows, p.columns, p.count)),
            *_entries(p),
        )
        for p in points
    )
    title = f"Every matrix at rank {_rank(rank).text}"
    return Table(title, f"{title}; results.csv has every rank.", headings, lines)


def _at(result: InterferenceResult, centre: Centre, rank: float) -> Point:
    return next(p for p in result.overall(centre) if p.rank == rank)


def _entries(point: Point) -> tuple[Entry, ...]:
    return (
        _number(point.interference, 3),
        _number(100 * point.relative, 3),
        _number(100 * point.overlap, 3),
    )


def _rank(rank: float) -> Entry:
    return Entry(f"{100 * rank:.3g}%", key=rank)


def _number(value: float, digits: int) -> Entry:
    return Entry(f"{value:.{digits}g}", key=value) if math.isfinite(value) else EMPTY
