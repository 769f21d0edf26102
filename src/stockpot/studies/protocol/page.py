"""The figure and the page of the study of the protocol."""

import math
from typing import Any

from ...evaluation.results.intervals import Interval
from ...pages.axes import dodges, dress, interval_bar, legend, panels, reference
from ...pages.drawing import draw
from ...pages.page import Page, Section
from ...pages.styles import FAMILIES, GREEN, PINK, SKY, VERMILION, Style
from ...pages.tables import EMPTY, Column, Entry, Table, count, keyed, table, words
from ...pages.units import plain, unit_of
from .result import COPIES, GAP, OURS, PUBLISHED, ProtocolResult

_STYLES = {
    "dropout": Style(VERMILION, "o", "solid", hollow=False),
    "batch-statistics": Style(GREEN, "s", "solid", hollow=False),
    "leaked-split": Style(SKY, "D", "solid", hollow=False),
    "halving-mean": Style(PINK, "P", "solid", hollow=False),
    PUBLISHED: Style(FAMILIES["single"].colour, "X", "solid", hollow=False),
}


def plot_protocol(result: ProtocolResult, ax: Any = None) -> Any:
    """What each deviation adds to or takes from each column, at the most ingredients."""
    n = result.counts[-1]
    names = [name for name, _ in result.protocols if name != OURS]
    methods = _methods(result, n)
    height = max(3.0, 0.11 * len(methods) * (len(names) + 2) + 1.2)
    question = f"What does the published protocol do to columns of {n}?"
    (one,) = axes = panels(ax, 1, columns=1, size=(7.0, height), question=question)
    unit = unit_of("accuracy")
    for place, method in enumerate(methods):
        for step, name in zip(dodges(len(names), 0.7), names, strict=True):
            point = result.at(name, n, method)
            if point is None or math.isnan(point.difference):
                continue
            span = Interval(point.difference, point.difference_low, point.difference_high)
            interval_bar(one, span, unit, _STYLES[name], place + step, flat=True)
            marks = _STYLES[name].marks(4.5)
            one.plot([100 * span.value], [place + step], linestyle="none", **marks)
    one.set_yticks(range(len(methods)), [plain(name, 32) for name in methods])
    one.set_ylim(len(methods) - 0.5, -0.5)
    dress(one, x="points of accuracy, less ours on the same samples", grid="x")
    reference(one, 0, "", flat=False)
    legend(ax, axes, names, _STYLES)
    return one


def page(result: ProtocolResult) -> Page:
    """What the page says: what was found, tables, the figure."""
    n = result.counts[-1]
    ours, theirs = (result.at(name, n, GAP) for name in (OURS, PUBLISHED))
    assert ours
    assert theirs
    caption = (
        "Bars are 95% intervals of the difference on the same samples and pools. The ensemble of "
        f"{n} is {100 * theirs.accuracy:+.1f} points above the uniform soup as published, "
        f"{100 * ours.accuracy:+.1f} in evaluation mode."
    )
    title = "Each deviation of the protocol, column by column"
    drawing = draw(plot_protocol(result), name="protocol", title=title, caption=caption)
    return Page(
        title=result.title,
        sentences=result.sentences,
        sections=(
            Section("results", "Results", (_table(result, n),), _others(result)),
            Section("greedy", "Greedy selection", (_choices(result),)),
        ),
        drawings=[drawing],
        facts=result.facts,
        measured=[
            "The same trained ingredients are tested in each way; all else is as in ours.",
            *(f"{name}: {words}." for name, words in result.protocols),
            "Ensembles average what single networks said under the same protocol. The "
            "copies-ensemble averages runs of the first network alone.",
            "Greedy candidates are scored in evaluation mode under every protocol, as published.",
        ],
    )


def _methods(result: ProtocolResult, n: int) -> list[str]:
    found = [p.method for p in result.points if (p.protocol, p.n) == (OURS, n)]
    return [name for name in found if name != COPIES]


def _table(result: ProtocolResult, n: int) -> Table:
    def column(protocol: str) -> Column[str]:
        def cell(method: str) -> Entry:
            point = result.at(protocol, n, method)
            if point is None:
                return EMPTY
            gap = f"{100 * point.difference:+.1f} [{100 * point.difference_low:.1f}, "
            gap += f"{100 * point.difference_high:.1f}]"
            told = protocol != OURS and math.isfinite(point.difference)
            return Entry(f"{100 * point.accuracy:.1f}", gap if told else "", point.accuracy)

        return Column(protocol, cell)

    caption = (
        f"Accuracy of {n} in percent, and the difference to ours with its 95% interval. "
        f"'{GAP}' is in points."
    )
    return table(
        f"Columns of {n} under each protocol",
        caption,
        list(dict.fromkeys(p.method for p in result.points if p.n == n)),
        words("column", lambda method: method),
        *(column(name) for name, _ in result.protocols),
    )


def _others(result: ProtocolResult) -> tuple[Table, ...]:
    return tuple(_table(result, n) for n in result.counts[:-1])


def _choices(result: ProtocolResult) -> Table:
    return table(
        "Greedy selection under each protocol",
        "Greedy soups: members accepted, what they were chosen by, and what they are worth.",
        result.choices,
        count("n", lambda one: one.n),
        words("protocol", lambda one: one.protocol),
        keyed("members", lambda one: one.members, "{:.1f}".format),
        keyed("selection, %", lambda one: one.selection, _percent),
        keyed("test, %", lambda one: one.test, _percent),
        keyed(
            "promised too much",
            lambda one: one.selection - one.test,
            lambda share: f"{100 * share:+.2f}",
        ),
        names=2,
    )


def _percent(share: float) -> str:
    return f"{100 * share:.2f}"
