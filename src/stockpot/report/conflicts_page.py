"""The page of the study of conflicts."""

from collections.abc import Callable
from typing import Any

from ..studies.onepass.conflicts import ConflictPair, Conflicts
from ..studies.subspaces.interference import ALL
from .conflicts import plot_elections, plot_task_cosines, plot_task_lengths, plot_task_signs
from .drawings import Drawing
from .filled import Section, fill_page
from .scopes_page import MOST, number
from .svg import inline_svg
from .tables import Entry, Table
from .units import readable

_FIGURES: tuple[tuple[str, str, Callable[[Conflicts], Any], str], ...] = (
    (
        "cosines",
        "Angles between task vectors",
        plot_task_cosines,
        "Near 1 two models have learned the same and averaging keeps it; near 0 they do not meet; "
        "below 0 each undoes what the other learned.",
    ),
    (
        "signs",
        "Agreement of signs",
        plot_task_signs,
        "0 is a coin's. Methods that elect signs (TIES) have something to decide where it is low.",
    ),
    (
        "lengths",
        "Lengths of task vectors",
        plot_task_lengths,
        "One scale for all layers and models. A column that is darker than the others will decide "
        "a merge whose weights are equal.",
    ),
    (
        "election",
        "Elections",
        plot_elections,
        "Entries whose sign is the one that most models have at that element. On the dotted line "
        "signs agree no oftener than by chance.",
    ),
)


def conflicts_page(result: Conflicts) -> str:
    """The page as text: what was found, tables, figures."""
    return fill_page(
        title=result.title,
        sentences=result.sentences,
        sections=(
            Section("results", "Results", (_pairs(result), _models(result)), (_layers(result),)),
        ),
        drawings=[_draw(result, *figure) for figure in _FIGURES],
        facts=result.facts,
        measured=_measured(result),
    )


def _draw(
    result: Conflicts, name: str, title: str, plot: Callable[[Conflicts], Any], caption: str
) -> Drawing:
    svg = inline_svg(plot(result), name=name, title=title, description=caption)
    return Drawing(name, title, svg, caption)


def _measured(result: Conflicts) -> list[str]:
    centre = "the base" if result.centre == "base" else "the mean of the models"
    return [
        f"A task vector is a model less {centre}. Cosines and lengths are of one tensor's entries, "
        "or of all tensors' as one vector.",
        "Signs are compared at elements at which neither task vector is 0. Expected is 1 - "
        "arccos(cosine) / π, what jointly normal entries at that angle would have: where fewer "
        "agree, a few large entries make the cosine.",
        "The majority's sign at an element is the one that more task vectors have there, each "
        "counted once; TIES counts them by size.",
    ]


_PAIR = ("cosine", "signs agree, %", "expected, %")


def _numbers(pair: ConflictPair) -> tuple[Entry, ...]:
    return (number(pair.cosine, 3), number(100 * pair.agree, 3), number(100 * pair.expected, 3))


def _pairs(result: Conflicts) -> Table:
    lines = tuple(
        (Entry(readable(pair.one)), Entry(readable(pair.other)), *_numbers(pair))
        for pair in result.pairs
        if pair.tensor == ALL
    )
    headings = (Entry("model"), Entry("model"), *map(Entry, _PAIR))
    return Table("Pairs", "Of all layers as one vector.", headings, lines, names=2)


def _models(result: Conflicts) -> Table:
    lines = tuple(
        (
            Entry(readable(one.model)),
            number(one.norm, 4),
            number(100 * one.relative, 3),
            number(100 * one.nonzero, 4),
        )
        for one in result.norms
        if one.tensor == ALL
    )
    headings = tuple(map(Entry, ("model", "length", "of the model's, %", "not 0, %")))
    caption = "Task vectors of all layers: length, and entries that are not 0."
    return Table("Task vectors", caption, headings, lines)


def _layers(result: Conflicts) -> Table:
    pairs = [pair for pair in result.pairs if pair.tensor != ALL]
    lines = tuple(
        (
            Entry(readable(pair.tensor)),
            Entry(readable(pair.one)),
            Entry(readable(pair.other)),
            *_numbers(pair),
        )
        for pair in pairs[:MOST]
    )
    caption = "Every layer and pair."
    if len(pairs) > MOST:
        caption += f" The first {MOST} of {len(pairs)}; results.csv has all."
    headings = (Entry("layer"), Entry("model"), Entry("model"), *map(Entry, _PAIR))
    return Table("Every pair by layer", caption, headings, lines, names=3)
