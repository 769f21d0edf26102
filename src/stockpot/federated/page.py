"""The page of a federated experiment, beside its numbers."""

import math
from collections.abc import Callable

from ..evaluation.results.intervals import Interval
from ..pages.drawing import Planned, draw_all
from ..pages.page import Page, Section
from ..pages.tables import Column, Entry, Table, count, interval, keyed, table, words
from ..pages.units import readable, show_bytes, show_probability
from .figures import plot_round_scopes, plot_rounds, plot_spread, plot_traffic, spreads
from .result import Outcome, partition_words, percent

_MOST = 3
"""Partitions that a caption names."""


def _ending(outcome: Outcome) -> str:
    def say(alpha: float | None) -> str:
        finals = {run: outcome.final(alpha, run) for run in outcome.runs}
        best, worst = (pick(finals, key=lambda run: finals[run].value) for pick in (max, min))
        last = f", lowest {worst} ({percent(finals[worst])})" if worst != best else ""
        return f"over {outcome.window} {best} is highest ({percent(finals[best])}){last}"

    return _each(outcome, say)


def _served(outcome: Outcome) -> str:
    def say(alpha: float | None) -> str:
        least = {
            run: min(clients.values())
            for run in outcome.runs
            if (clients := outcome.clients(alpha, run))
        }
        if not least:
            return "no client has test samples"
        best = max(least, key=lambda run: least[run])
        return f"the client that is served worst is served best by {best}, {100 * least[best]:.1f}%"

    return _each(outcome, say)


def _cheapest(outcome: Outcome) -> str:
    def say(alpha: float | None) -> str:
        sent = {run: outcome.of(alpha, run)[0].sent for run in outcome.runs}
        low, high = (pick(sent, key=lambda run: sent[run]) for pick in (min, max))
        if sent[low] == sent[high]:
            return f"every algorithm sends {show_bytes(sent[low])}"
        return f"{low} sends {show_bytes(sent[low])}, {high} {show_bytes(sent[high])}"

    return _each(outcome, say)


def _moved(outcome: Outcome) -> str:
    def say(alpha: float | None) -> str:
        ends = {run: spreads(outcome, alpha, run)[-1] for run in outcome.runs}
        most = max(ends, key=lambda run: abs(ends[run] - 1))
        return f"{most} moves most, to {ends[most]:.2f} of the start"

    return _each(outcome, say)


def _each(outcome: Outcome, say: Callable[[float | None], str]) -> str:
    """One finding for each partition, of the first three."""
    some = outcome.alphas[:_MOST]
    said = "; ".join(f"{partition_words(alpha)}: {say(alpha)}" for alpha in some)
    return f"{said}{' ...' if len(outcome.alphas) > _MOST else ''}."


_FIGURES: tuple[Planned, ...] = (
    (
        "rounds",
        "Accuracy by round",
        plot_rounds,
        _ending,
        "Over all clients' test samples together; bands are 95% intervals over seeds. Lines whose "
        "bands overlap may still be told apart: differences are seed by seed in the table.",
    ),
    (
        "spread",
        "Accuracy of each client",
        plot_spread,
        _served,
        "On its own test samples, after the last round; a dot is a client, its mean over "
        "seeds, the bar the mean of clients. A dot far left is a client that the global model does "
        "not serve.",
    ),
    (
        "traffic",
        "Accuracy against bytes",
        plot_traffic,
        _cheapest,
        "Tensors and scopes that were sent, both ways, in learning. Left and up is cheaper.",
    ),
    (
        "scopes",
        "Scopes by round",
        plot_round_scopes,
        _moved,
        "The standard deviation of the clients' weights, fused over clients, over what it was at "
        "the start; the geometric mean over layers.",
    ),
)


def federation_page(outcome: Outcome) -> Page:
    """What the page says: what was found, the table, figures."""
    return Page(
        title=outcome.title,
        sentences=tuple(map(readable, outcome.sentences)),
        sections=[Section("results", "Results", (_table(outcome),), (_dropped(outcome),))],
        drawings=draw_all(outcome, _FIGURES),
        facts=outcome.facts,
        measured=(
            "Clients learn from their part of the training split and are judged on their part of "
            "the test split, which was dealt alike. Nothing was chosen on either.",
            "A difference is of the same partition, start and seed. With few seeds an interval is "
            "wide, and a difference that it does not show may still be there.",
        ),
    )


_Algorithm = tuple[float | None, str]
"""A partition, and the name of an algorithm on it."""


def _table(outcome: Outcome) -> Table:
    first = outcome.runs[0]

    def gain(row: _Algorithm) -> Interval | None:
        return None if row[1] == first else outcome.gain(*row)

    def clients(row: _Algorithm) -> list[float]:
        return list(outcome.clients(*row).values()) or [math.nan]

    p_values = outcome.gain_ps()
    caption = (
        f"Accuracy over all clients' test samples, the mean of {outcome.window}, with its 95% "
        "interval over seeds; the difference to the first algorithm, seed by seed, with its p "
        "after Holm's correction for all of them; clients after the last round, by their means "
        "over seeds; bytes of one run, both ways."
    )
    return table(
        f"Accuracy of {outcome.window}",
        caption,
        [(alpha, run) for alpha in outcome.alphas for run in outcome.runs],
        Column("partition", _partition),
        words("algorithm", lambda row: row[1]),
        interval("accuracy, %", lambda row: outcome.final(*row), 1, 100),
        interval(f"minus {first}, points", gain, 1, 100, "+"),
        keyed("p, corrected", p_values.get, show_probability),
        keyed("worst client, %", lambda row: min(clients(row)), _percents),
        keyed("best client, %", lambda row: max(clients(row)), _percents),
        count("sent", lambda row: outcome.of(*row)[0].sent, show_bytes),
        names=2,
    )


def _partition(row: _Algorithm) -> Entry:
    return Entry(partition_words(row[0]), key=row[0])


def _percents(share: float) -> str:
    return f"{100 * share:.1f}"


def _dropped(outcome: Outcome) -> Table:
    """Answers that did not count, and rounds that changed nothing."""
    rows = [
        (trace, one, client, why)
        for trace in outcome.traces
        for one in trace.rounds
        for client, why in [
            *((str(drop.client), drop.reason) for drop in one.dropped),
            *([("all", one.note)] if one.note else []),
        ]
    ]
    return table(
        "Answers that did not count",
        "Answers that did not count. Without any, the table is empty.",
        rows,
        words("partition", lambda row: partition_words(row[0].alpha)),
        words("algorithm", lambda row: row[0].run),
        count("seed", lambda row: row[0].seed),
        count("round", lambda row: row[1].number),
        words("client", lambda row: row[2]),
        words("why", lambda row: row[3]),
        names=2,
    )
