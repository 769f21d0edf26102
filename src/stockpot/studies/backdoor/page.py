"""The page of the study of contributors."""

import math

from ...pages.drawing import Planned, draw_all
from ...pages.page import Page, Section
from ...pages.tables import MOST, Column, Table, keyed, number, table, words
from ..interference.result import ALL
from .figures import plot_influence, plot_shares, plot_suspicions
from .result import BackdoorResult, Contribution


def _scores(result: BackdoorResult) -> str:
    most = max(result.suspicions, key=lambda one: one.score)
    return (
        f"The highest score is {most.score:.3g}, of {most.model}; "
        f"{len(result.alarms)} of {len(result.models)} models are above {result.threshold:g}."
    )


def _influence(result: BackdoorResult) -> str:
    whole = [r for r in result.rows if r.tensor == ALL and math.isfinite(r.relative)]
    if not whole:
        return "There is nothing that the merge could differ from."
    most = max(whole, key=lambda row: row.influence)
    of = "its change from the base" if result.centre == "base" else "its length"
    return (
        f"Without {most.model} the merge by {result.method} would differ by "
        f"{100 * most.relative:.3g}% of {of}, more than without any other."
    )


def _shares(result: BackdoorResult) -> str:
    most = max((r for r in result.rows if r.tensor != ALL), key=lambda row: row.share)
    return f"The largest part is {100 * most.share:.3g}%, of {most.model} in '{most.tensor}'."


_SCORES: Planned = (
    "scores",
    "Scores",
    plot_suspicions,
    _scores,
    "How many spreads a model is off from what the others have among themselves. Bars beyond the "
    "dotted line are an alarm: a reason to ask, not a proof.",
)
_FIGURES: tuple[Planned, ...] = (
    (
        "influence",
        "Leaving one out",
        plot_influence,
        _influence,
        "A column that is darker than the others decides the merge; one dark cell says where.",
    ),
    (
        "shares",
        "Layer by layer",
        plot_shares,
        _shares,
        "Where a model's distance to the others is. Honest models share a profile; what differs "
        "in a row has been changed there.",
    ),
)


def page(result: BackdoorResult) -> Page:
    """What the page says: what was found, tables, figures."""
    figures = (*((_SCORES,) if result.suspicions else ()), *_FIGURES)
    return Page(
        title=result.title,
        sentences=result.sentences,
        sections=(Section("results", "Results", tuple(_tables(result)), (_layers(result),)),),
        drawings=draw_all(result, figures),
        facts=result.facts,
        measured=_measured(result),
    )


def _measured(result: BackdoorResult) -> list[str]:
    of = "the base" if result.centre == "base" else "0, for there is no base"
    return [
        f"Influence is |M - M_i|, M the merge of all models by {result.method} and M_i that of all "
        f"but one; in % of |M - b|, b {of}. Of the average it is the distance to the mean of the "
        "others over the number of models.",
        "A score compares a model with what the others have among themselves, as if it were not "
        "there: (its value - their median) / spread, the spread 1.4826 times their median absolute "
        "deviation, and at least 0.1 of a logarithm of lengths and distances, 0.05 of a cosine or "
        "of a share of the squared distance. Only longer, further, other directions and more in a "
        "layer count. The threshold 3.5 is Iglewicz and Hoaglin's.",
        "Weights alone are looked at. An attack that is no longer than honest changes, and in no "
        "unusual direction, has no high score; honest models with other data have one. Attackers "
        "who are alike hide each other.",
    ]


_NUMBERS: tuple[Column[Contribution], ...] = (
    number("length", lambda row: row.length, 4),
    number("distance", lambda row: row.distance, 4),
    number("cosine", lambda row: row.cosine, 3),
    number("influence", lambda row: row.influence, 4),
    number("relative, %", lambda row: 100 * row.relative, 3),
)


def _tables(result: BackdoorResult) -> list[Table]:
    models = table(
        "Models",
        "Of all tensors as one vector: length of the task vector, distance to the mean of the "
        "others, cosine with their mean task vector, and how far the merge moves without it.",
        [row for row in result.rows if row.tensor == ALL],
        words("model", lambda row: row.model),
        *_NUMBERS,
    )
    return [_scores_table(result), models] if result.suspicions else [models]


def _scores_table(result: BackdoorResult) -> Table:
    return table(
        "Scores",
        "In spreads of the others; the score is the largest of the four.",
        result.suspicions,
        words("model", lambda one: one.model),
        number("score", lambda one: one.score, 3),
        number("longer", lambda one: one.length, 3),
        number("further", lambda one: one.distance, 3),
        number("direction", lambda one: one.direction, 3),
        number("layer", lambda one: one.layer, 3),
        words("which layer", lambda one: one.tensor),
        keyed("alarm", lambda one: 1.0 if one.alarm else None, lambda _: "alarm"),
    )


def _layers(result: BackdoorResult) -> Table:
    return table(
        "Every layer",
        "Every layer of every model.",
        [row for row in result.rows if row.tensor != ALL],
        words("layer", lambda row: row.tensor),
        words("model", lambda row: row.model),
        *_NUMBERS,
        number("share, %", lambda row: 100 * row.share, 3),
        names=2,
        most=MOST,
    )
