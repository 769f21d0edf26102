"""What a comparison looks like; a plot takes a result and an Axes, never a model."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..data.extras import optional
from ..evaluation import Comparison

COLOURS: Mapping[str, str] = {
    "single": "#6b7280",
    "merge": "#0072b2",
    "ensemble": "#009e73",
    "control": "#d55e00",
}
"""Okabe and Ito's palette, which colour-blind readers can tell apart."""

LEGEND: Mapping[str, str] = {
    "single": "single networks",
    "merge": "merges: one network",
    "ensemble": "ensemble: every network runs",
    "control": "controls",
}


def plot_comparison(result: Comparison, ax: Any = None) -> Any:
    """Accuracy of each contender as a dot with its 95% interval, best at the top of its kind.

    Args:
        result: what was compared.
        ax: the matplotlib Axes to draw on; a new figure of its own without one.

    Returns:
        The Axes.

    Raises:
        ExtraError: without matplotlib.
    """
    wanted = ("test", "accuracy")
    rows = [row for row in result.overall() if (row.split, row.metric) == wanted]
    kinds = list(COLOURS)
    rows.sort(key=lambda row: (-kinds.index(row.kind), row.value))
    if ax is None:
        figure = optional("matplotlib.figure").Figure(
            figsize=(8, 1.4 + 0.32 * len(rows)), layout="constrained"
        )
        ax = figure.subplots()
    for height, row in enumerate(rows):
        value, low, high = (100 * part for part in (row.value, row.low, row.high))
        colour = COLOURS[row.kind]
        ax.plot([low, high], [height, height], color=colour, linewidth=2, solid_capstyle="butt")
        ax.plot([value], [height], "o", color=colour, markersize=6)
        cost = f", {row.forwards} evaluations" if row.forwards > 1 else ""
        ax.annotate(
            f"{value:.1f}{cost}",
            (high, height),
            xytext=(6, 0),
            textcoords="offset points",
            va="center",
            fontsize=8,
            color=colour,
        )
    _dress(ax, result, [row.method for row in rows])
    present = [kind for kind in kinds if any(row.kind == kind for row in rows)]
    handles = [
        ax.plot([], [], "o-", color=COLOURS[kind], label=LEGEND[kind])[0] for kind in present
    ]
    below = (0.4, -1.5 / len(rows))  # a row and a half under the axis, however many rows there are
    ax.legend(
        handles=handles,
        loc="upper center",
        bbox_to_anchor=below,
        ncols=2,
        frameon=False,
        fontsize=8,
    )
    return ax


def _dress(ax: Any, result: Comparison, names: list[str]) -> None:
    ax.set_yticks(range(len(names)), names)
    ax.set_xlim(0, 100)
    ax.set_xlabel("test accuracy, % (bar: 95% interval)")
    ax.set_title(result.title, loc="left", fontsize=11)
    ax.grid(axis="x", color="#e5e7eb")
    ax.set_axisbelow(True)
    ax.spines[["top", "right", "left"]].set_visible(False)
    ax.tick_params(axis="y", length=0)


def save_figure(ax: Any, path: Path) -> None:
    """Save the figure of `ax` as SVG: text stays text, equal results give equal bytes."""
    settings = {"svg.hashsalt": "stockpot", "svg.fonttype": "none"}
    with optional("matplotlib").rc_context(settings):
        ax.figure.savefig(path, format="svg", metadata={"Date": None})
