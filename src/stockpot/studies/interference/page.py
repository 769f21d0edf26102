"""The page of the study of interference."""

import math
from collections.abc import Callable
from functools import partial
from statistics import median

from ...pages.drawing import Planned, draw_all
from ...pages.page import Page, Section
from ...pages.tables import Column, R, Table, count, keyed, number, table, words
from .figures import plot_interference, plot_overlap, plot_residual, plot_spectra
from .result import ALL, Centre, InterferenceResult, Point, Spectrum

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


def page(result: InterferenceResult) -> Page:
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
    columns: list[Column[float]] = []
    for centre in result.centres:
        columns += _of_points(partial(_at, result, centre), f"around the {centre}")
    caption = "Over all matrices, at each share of the full rank."
    return table(
        "Interference by rank",
        caption,
        result.ranks,
        keyed("rank", lambda rank: rank, _percent),
        *columns,
    )


def _tasks(result: InterferenceResult) -> Table:
    """Per task: length, and effective rank as a share of the full one."""

    def length(centre: Centre, task: str) -> float:
        return math.sqrt(math.fsum(one.norm**2 for one in spectra(task, centre)))

    def effective(centre: Centre, task: str) -> float:
        shares = [100 * one.effective_rank / one.full_rank for one in spectra(task, centre)]
        return math.fsum(shares) / len(shares)

    def spectra(task: str, centre: Centre) -> list[Spectrum]:
        return [one for one in result.spectra if (one.task, one.centre) == (task, centre)]

    columns: list[Column[str]] = []
    for centre in result.centres:
        around = f"around the {centre}"
        columns.append(number("length", partial(length, centre), 4, around))
        columns.append(number("effective rank, % of full", partial(effective, centre), 3, around))
    caption = "Task vectors over all matrices: their length, and the mean effective rank."
    return table("Task vectors", caption, result.tasks, words("task", lambda task: task), *columns)


def _matrices(result: InterferenceResult) -> Table:
    rank = result.near(0.08)
    title = f"Every matrix at rank {_percent(rank)}"
    return table(
        title,
        f"{title}; results.csv has every rank.",
        [p for p in result.points if p.rank == rank and p.tensor != ALL],
        words("matrix", lambda p: p.tensor),
        words("centre", lambda p: p.centre),
        count("rows", lambda p: p.rows),
        count("columns", lambda p: p.columns),
        count("k", lambda p: p.count),
        *_of_points(_itself),
    )


def _at(result: InterferenceResult, centre: Centre, rank: float) -> Point:
    return next(p for p in result.overall(centre) if p.rank == rank)


def _itself(point: Point) -> Point:
    return point


def _of_points(point: Callable[[R], Point], detail: str = "") -> tuple[Column[R], ...]:
    return (
        number("interference", lambda row: point(row).interference, 3, detail),
        number("left out, %", lambda row: 100 * point(row).relative, 3, detail),
        number("overlap, %", lambda row: 100 * point(row).overlap, 3, detail),
    )


def _percent(rank: float) -> str:
    return f"{100 * rank:.3g}%"
