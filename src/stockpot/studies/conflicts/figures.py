"""Figures of the study of conflicts; a plot takes a result and an Axes, never a model."""

import math
from collections.abc import Callable, Mapping
from typing import Any

from ...pages.axes import SMALL, dress, panels, reference
from ...pages.heat import MOST_COLUMNS, heat, shown_rows
from ...pages.styles import BLUE, INK, VERMILION
from ...pages.units import plain, short
from ..interference.result import ALL
from .result import ConflictPair, ConflictsResult


def plot_task_cosines(result: ConflictsResult, ax: Any = None) -> Any:
    """Cosines of task vectors by layer and pair of models, on the scale from -1 to 1.

    Of more than 20 pairs the first are shown.
    """
    return heat(
        ax,
        _cells(result, lambda pair: pair.cosine),
        (ALL, *result.tensors),
        _pairs(result),
        question="Do task vectors point one way?",
        x="cosine: orange above 0, blue below",
        show=lambda value: f"{value:.2f}",
        limit=1.0,
    )


def plot_task_signs(result: ConflictsResult, ax: Any = None) -> Any:
    """How much oftener signs agree than they differ, by layer and pair; see `plot_task_cosines`."""
    return heat(
        ax,
        _cells(result, lambda pair: 200 * pair.agree - 100),
        (ALL, *result.tensors),
        _pairs(result),
        question="How often do signs agree?",
        x="agreeing less differing signs, points of 100",
        show=lambda value: f"{value:+.0f}",
        limit=100.0,
    )


def plot_task_lengths(result: ConflictsResult, ax: Any = None) -> Any:
    """Length of task vectors over the model's, by layer and model, on one scale."""
    cells = {
        (one.tensor, one.model): 100 * one.relative
        for one in result.norms
        if math.isfinite(one.relative)
    }
    return heat(
        ax,
        cells,
        (ALL, *result.tensors),
        result.models,
        question="Which layers have moved most?",
        x="|task vector| / |model|, %",
        show=lambda value: f"{value:.2g}",
    )


def plot_elections(result: ConflictsResult, ax: Any = None) -> Any:
    """Entries whose sign is the majority's, by layer; with a base, unanimous elements too."""
    tensors = shown_rows(result.tensors)
    size = (max(5.0, 0.2 * len(tensors) + 2.0), 4.2)
    question = "How clear is an election of signs?"
    (ax,) = panels(ax, 1, columns=1, size=size, question=question)
    found = {one.tensor: one for one in result.elections}
    lines = [("majority", "with the majority's sign", BLUE, "o")]
    if result.centre == "base":
        lines.append(("unanimous", "elements without a conflict", VERMILION, "s"))
    for name, words, colour, marker in lines:
        values = [100 * getattr(found[tensor], name) for tensor in tensors]
        ax.plot(
            range(len(tensors)), values, color=colour, marker=marker, markersize=4, linewidth=1,
            label=words,
        )  # fmt: skip
    dress(ax, y="%")
    ax.set_ylim(0, 102)
    reference(ax, 100 * coin(len(result.models)), "majority of random signs")
    ax.set_xticks(range(len(tensors)), [plain(one) for one in short(tensors, 26)], rotation=90)
    ax.tick_params(axis="x", labelsize=SMALL - 1, colors=INK)
    ax.legend(fontsize=SMALL, frameon=False, loc="lower left")
    return ax


def coin(count: int) -> float:
    """The expected share with the majority's sign where K signs are drawn by a fair coin.

    Example:
        >>> coin(2), coin(3)
        (0.75, 0.75)
    """
    return sum(math.comb(count, up) * max(up, count - up) for up in range(count + 1)) / (
        count * 2**count
    )


def _pairs(result: ConflictsResult) -> list[str]:
    names = _short(result)
    return list(dict.fromkeys(_name(pair, names) for pair in result.pairs))[:MOST_COLUMNS]


def _short(result: ConflictsResult) -> dict[str, str]:
    return dict(zip(result.models, short(list(result.models), 9), strict=True))


def _name(pair: ConflictPair, names: Mapping[str, str]) -> str:
    return f"{names[pair.one]} / {names[pair.other]}"


def _cells(
    result: ConflictsResult, value: Callable[[ConflictPair], float]
) -> dict[tuple[str, str], float]:
    names = _short(result)
    return {
        (pair.tensor, _name(pair, names)): value(pair)
        for pair in result.pairs
        if math.isfinite(value(pair))
    }
