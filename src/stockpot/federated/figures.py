"""Figures of a federated experiment, as values: a panel for each partition."""

import math
from typing import Any

from ..evaluation.results.estimator import over_seeds
from ..pages.figures import Axis, Dots, Lines, Series, series
from ..pages.styles import FAMILIES, Style
from .result import Outcome, partition_words

_DASHES: tuple[Any, ...] = ("solid", (0, (4, 2)), (0, (1, 1.5)))


def run_styles(outcome: Outcome) -> dict[str, Style]:
    """A colour and marker for each algorithm, the same in every figure."""
    families = [one for name, one in FAMILIES.items() if name not in ("single", "distilled")]
    count = len(families)
    return {
        run: Style(
            one.colour, one.marker, _DASHES[i // count % 3], hollow=bool(i // count % 2), size=3.5
        )
        for i, run in enumerate(outcome.runs)
        for one in [families[i % count]]
    }


def rounds(outcome: Outcome) -> tuple[Lines, ...]:
    """Accuracy against rounds, a line for each algorithm, its interval over seeds as a band."""
    drawn = run_styles(outcome)
    return tuple(
        _panel(
            alpha,
            "round",
            "test accuracy, %",
            *(
                series(run, range(len(curve)), curve, drawn[run], factor=100)
                for run in outcome.runs
                for curve in [outcome.curve(alpha, run)]
            ),
        )
        for alpha in outcome.alphas
    )


def traffic(outcome: Outcome) -> tuple[Lines, ...]:
    """Accuracy against megabytes sent so far, both ways."""
    drawn, panels = run_styles(outcome), list[Lines]()
    for alpha in outcome.alphas:
        lines: list[Series] = []
        for run in outcome.runs:
            sent = 0.0
            first = outcome.of(alpha, run)[0]
            xs = tuple(sent := sent + (r.sent_down + r.sent_up) / 1e6 for r in first.rounds)
            ys = tuple(100 * point.value for point in outcome.curve(alpha, run))
            lines.append(Series(name=run, x=xs, value=ys, style=drawn[run]))
        panels.append(_panel(alpha, "MB sent, both ways", "test accuracy, %", *lines))
    return tuple(panels)


def clients(outcome: Outcome) -> tuple[Dots, ...]:
    """Accuracy of each client on its own test samples after the last round, its mean over seeds."""
    drawn, panels = run_styles(outcome), list[Dots]()
    for alpha in outcome.alphas:
        marks: list[Series] = []
        for place, run in enumerate(outcome.runs):
            values = [100 * value for value in outcome.clients(alpha, run).values()]
            if values:
                mean, look = math.fsum(values) / len(values), drawn[run]
                spans = (min(values),), (max(values),)
                marks.append(
                    Series(
                        name="", x=(place,), value=(mean,), low=spans[0], high=spans[1], style=look
                    )
                )
        panels.append(
            Dots(
                series=tuple(marks),
                names=outcome.runs,
                x=Axis("test accuracy of clients, %: mean, worst and best"),
                title=partition_words(alpha),
            )
        )
    return tuple(panels)


def scopes(outcome: Outcome) -> tuple[Lines, ...]:
    """Standard deviation of layers' weights by round over what it was at the start.

    Of the scope fused over the replies that counted; mean over layers and seeds.
    """
    drawn, panels = run_styles(outcome), list[Lines]()
    for alpha in outcome.alphas:
        lines: list[Series] = []
        for run in outcome.runs:
            ys = tuple(spreads(outcome, alpha, run))
            lines.append(Series(name=run, x=tuple(range(len(ys))), value=ys, style=drawn[run]))
        panels.append(_panel(alpha, "round", "std of weights, start = 1", *lines))
    return tuple(panels)


def spreads(outcome: Outcome, alpha: float | None, run: str) -> list[float]:
    """By round: σ_l over the start's, its geometric mean over layers, and the mean over seeds."""
    each: list[list[float]] = []
    for trace in outcome.of(alpha, run):
        start = trace.rounds[0].scopes
        names = [name for name, scope in start.items() if scope.std > 0]
        each.append(
            [
                math.exp(
                    math.fsum(math.log(r.scopes[n].std / start[n].std) for n in names) / len(names)
                )
                for r in trace.rounds
            ]
        )
    return [over_seeds(same).value for same in zip(*each, strict=True)]


def _panel(alpha: float | None, x: str, y: str, *lines: Series) -> Lines:
    return Lines(series=lines, x=Axis(x), y=Axis(y), title=partition_words(alpha))
