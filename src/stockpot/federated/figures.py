"""Figures of a federated experiment; each takes its outcome and axes, never a model."""

import math
from collections.abc import Sequence
from typing import Any

from ..errors import StockpotError
from ..evaluation.results.estimator import over_seeds
from ..pages.axes import SMALL, dress, label_ends, panels
from ..pages.styles import FAMILIES, Style
from ..pages.units import plain, short
from .result import Outcome, partition_words

_DASHES: tuple[Any, ...] = ("solid", (0, (4, 2)), (0, (1, 1.5)))


def run_styles(outcome: Outcome) -> dict[str, Style]:
    """A colour and marker for each algorithm, the same in every figure."""
    families = [one for name, one in FAMILIES.items() if name not in ("single", "distilled")]
    count = len(families)
    return {
        run: Style(one.colour, one.marker, _DASHES[i // count % 3], hollow=bool(i // count % 2))
        for i, run in enumerate(outcome.runs)
        for one in [families[i % count]]
    }


def plot_rounds(outcome: Outcome, ax: Any = None) -> Any:
    """Accuracy against rounds, a line for each algorithm, its 95% interval over seeds as a band.

    Raises:
        StockpotError: where `ax` would hold several partitions.
    """
    drawn = run_styles(outcome)
    axes = _panels(outcome, ax, "How fast do the algorithms learn?")
    for one, alpha in zip(axes, outcome.alphas, strict=True):
        ends: dict[str, tuple[float, float]] = {}
        for run in outcome.runs:
            curve, style = outcome.curve(alpha, run), drawn[run]
            xs, ys = list(range(len(curve))), [100 * point.value for point in curve]
            one.plot(xs, ys, color=style.colour, linestyle=style.dash, linewidth=1.4)
            if all(math.isfinite(point.low) for point in curve):
                low, high = [100 * p.low for p in curve], [100 * p.high for p in curve]
                one.fill_between(xs, low, high, color=style.colour, alpha=0.12, linewidth=0)
            ends[run] = (xs[-1], ys[-1])
        one.set_ylim(0, 100)
        dress(one, title=partition_words(alpha), x="round", y="test accuracy, %")
        label_ends(one, ends, drawn)
    return axes[0]


def plot_spread(outcome: Outcome, ax: Any = None) -> Any:
    """Accuracy of each client on its own test samples after the last round, its mean over seeds.

    Args, Returns and Raises as `plot_rounds`.
    """
    drawn = run_styles(outcome)
    axes = _panels(outcome, ax, "Whom does the global model serve?")
    for one, alpha in zip(axes, outcome.alphas, strict=True):
        for place, run in enumerate(outcome.runs):
            values = sorted(100 * value for value in outcome.clients(alpha, run).values())
            style = drawn[run]
            heights = [place + 0.05 * ((i % 5) - 2) for i in range(len(values))]
            one.plot(values, heights, linestyle="none", **style.marks(4))
            mean = math.fsum(values) / len(values) if values else float("nan")
            one.plot([mean, mean], [place - 0.35, place + 0.35], color=style.colour, linewidth=2)
        names = [plain(name) for name in short(list(outcome.runs), 26)]
        one.set_yticks(range(len(outcome.runs)), names, fontsize=SMALL)
        one.set_ylim(len(outcome.runs) - 0.5, -0.5)
        one.set_xlim(0, 101)
        dress(one, title=partition_words(alpha), x="test accuracy of a client, %", grid="x")
    return axes[0]


def plot_traffic(outcome: Outcome, ax: Any = None) -> Any:
    """Accuracy against megabytes sent so far, both ways.

    Args, Returns and Raises as `plot_rounds`.
    """
    drawn = run_styles(outcome)
    axes = _panels(outcome, ax, "What does a byte buy?")
    for one, alpha in zip(axes, outcome.alphas, strict=True):
        ends: dict[str, tuple[float, float]] = {}
        for run in outcome.runs:
            first, style, sent = outcome.of(alpha, run)[0], drawn[run], 0.0
            xs = [sent := sent + (r.sent_down + r.sent_up) / 1e6 for r in first.rounds]
            ys = [100 * point.value for point in outcome.curve(alpha, run)]
            one.plot(xs, ys, color=style.colour, linestyle=style.dash, linewidth=1.4)
            ends[run] = (xs[-1], ys[-1])
        one.set_ylim(0, 100)
        dress(one, title=partition_words(alpha), x="MB sent, both ways", y="test accuracy, %")
        label_ends(one, ends, drawn)
    return axes[0]


def plot_round_scopes(outcome: Outcome, ax: Any = None) -> Any:
    """Standard deviation of layers' weights by round over what it was at the start.

    Of the scope fused over the replies that counted; mean over layers and seeds.

    Args, Returns and Raises as `plot_rounds`.
    """
    drawn = run_styles(outcome)
    axes = _panels(outcome, ax, "How far do scopes move?")
    for one, alpha in zip(axes, outcome.alphas, strict=True):
        ends: dict[str, tuple[float, float]] = {}
        for run in outcome.runs:
            ys, style = spreads(outcome, alpha, run), drawn[run]
            one.plot(range(len(ys)), ys, color=style.colour, linestyle=style.dash, linewidth=1.4)
            ends[run] = (len(ys) - 1, ys[-1])
        dress(one, title=partition_words(alpha), x="round", y="std of weights, start = 1")
        label_ends(one, ends, drawn)
    return axes[0]


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


def _panels(outcome: Outcome, ax: Any, question: str) -> Sequence[Any]:
    count = len(outcome.alphas)
    if ax is not None and count > 1:
        raise StockpotError(f"{count} partitions need an Axes each: leave ax out.")
    return panels(ax, count, columns=2, size=(5.0, 2.9), question=question)
