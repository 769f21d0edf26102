"""The page of the study of conflicts."""

import math

from ...pages.drawing import Planned, draw_all
from ...pages.page import Page, Section
from ...pages.tables import MOST, Column, Table, number, table, words
from ..interference.result import ALL
from .figures import coin, plot_elections, plot_task_cosines, plot_task_lengths, plot_task_signs
from .result import ConflictPair, ConflictsResult


def _cosines(result: ConflictsResult) -> str:
    pairs = [one for one in result.pairs if one.tensor == ALL and math.isfinite(one.cosine)]
    if not pairs:
        return "No two task vectors of all layers have an angle: one of each two is 0."
    low, high = (pick(pairs, key=lambda one: one.cosine) for pick in (min, max))
    if low is high:
        return f"Over all layers the cosine of {low.one} and {low.other} is {low.cosine:.3g}."
    return (
        f"Over all layers cosines lie between {low.cosine:.3g} ({low.one} and {low.other}) and "
        f"{high.cosine:.3g} ({high.one} and {high.other})."
    )


def _signs(result: ConflictsResult) -> str:
    pairs = [one for one in result.pairs if one.tensor == ALL and math.isfinite(one.agree)]
    if not pairs:
        return "No two task vectors have an element at which neither is 0."
    agree, expected = (
        math.fsum(values) / len(pairs)
        for values in ([p.agree for p in pairs], [p.expected for p in pairs])
    )
    return (
        f"Over all layers and pairs {100 * agree:.1f}% of signs agree; angles alone would make it "
        f"{100 * expected:.1f}%."
    )


def _lengths(result: ConflictsResult) -> str:
    norms = [one for one in result.norms if one.tensor == ALL and math.isfinite(one.relative)]
    if not norms:
        return "No model has a length to compare with."
    low, high = (pick(norms, key=lambda one: one.relative) for pick in (min, max))
    return (
        f"The longest task vector has {100 * high.relative:.3g}% of its model's length "
        f"({high.model}), the shortest {100 * low.relative:.3g}% ({low.model})."
    )


def _elections(result: ConflictsResult) -> str:
    every = next(one for one in result.elections if one.tensor == ALL)
    return (
        f"Over all layers {100 * every.majority:.1f}% of entries have the sign of the majority; of "
        f"random signs it would be {100 * coin(len(result.models)):.1f}%."
    )


_FIGURES: tuple[Planned, ...] = (
    (
        "cosines",
        "Angles between task vectors",
        plot_task_cosines,
        _cosines,
        "Near 1 two models have learned the same and averaging keeps it; near 0 they do not meet; "
        "below 0 each undoes what the other learned.",
    ),
    (
        "signs",
        "Agreement of signs",
        plot_task_signs,
        _signs,
        "0 is a coin's. Methods that elect signs (TIES) have something to decide where it is low.",
    ),
    (
        "lengths",
        "Lengths of task vectors",
        plot_task_lengths,
        _lengths,
        "One scale for all layers and models. A column that is darker than the others will decide "
        "a merge whose weights are equal.",
    ),
    (
        "election",
        "Elections",
        plot_elections,
        _elections,
        "Entries whose sign is the one that most models have at that element. On the dotted line "
        "signs agree no oftener than by chance.",
    ),
)


def page(result: ConflictsResult) -> Page:
    """What the page says: what was found, tables, figures."""
    return Page(
        title=result.title,
        sentences=result.sentences,
        sections=(
            Section("results", "Results", (_pairs(result), _models(result)), (_layers(result),)),
        ),
        drawings=draw_all(result, _FIGURES),
        facts=result.facts,
        measured=_measured(result),
    )


def _measured(result: ConflictsResult) -> list[str]:
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


_NUMBERS: tuple[Column[ConflictPair], ...] = (
    number("cosine", lambda pair: pair.cosine, 3),
    number("signs agree, %", lambda pair: 100 * pair.agree, 3),
    number("expected, %", lambda pair: 100 * pair.expected, 3),
)
_BOTH: tuple[Column[ConflictPair], ...] = (
    words("model", lambda pair: pair.one),
    words("model", lambda pair: pair.other),
)


def _pairs(result: ConflictsResult) -> Table:
    pairs = [pair for pair in result.pairs if pair.tensor == ALL]
    return table("Pairs", "Of all layers as one vector.", pairs, *_BOTH, *_NUMBERS, names=2)


def _models(result: ConflictsResult) -> Table:
    return table(
        "Task vectors",
        "Task vectors of all layers: length, and entries that are not 0.",
        [one for one in result.norms if one.tensor == ALL],
        words("model", lambda one: one.model),
        number("length", lambda one: one.norm, 4),
        number("of the model's, %", lambda one: 100 * one.relative, 3),
        number("not 0, %", lambda one: 100 * one.nonzero, 4),
    )


def _layers(result: ConflictsResult) -> Table:
    pairs = [pair for pair in result.pairs if pair.tensor != ALL]
    return table(
        "Every pair by layer",
        "Every layer and pair.",
        pairs,
        words("layer", lambda pair: pair.tensor),
        *_BOTH,
        *_NUMBERS,
        names=3,
        most=MOST,
    )
