"""Figures of the study of conflicts, as values."""

import math
from collections.abc import Callable, Mapping

from ...pages.figures import Axis, Heat, Level, Lines, Series, heat, shown_rows
from ...pages.styles import BLUE, VERMILION, Style
from ...pages.units import short
from ..interference.result import ALL
from .result import ConflictPair, ConflictsResult


def cosines(result: ConflictsResult) -> Heat:
    """Cosines of task vectors by layer and pair of models, on the scale from -1 to 1."""
    return _by_pair(
        result,
        lambda pair: pair.cosine,
        "cosine: orange above 0, blue below",
        lambda value: f"{value:.2f}",
        1.0,
    )


def signs(result: ConflictsResult) -> Heat:
    """How much oftener signs agree than they differ, by layer and pair."""
    return _by_pair(
        result,
        lambda pair: 200 * pair.agree - 100,
        "agreeing less differing signs, points of 100",
        lambda value: f"{value:+.0f}",
        100.0,
    )


def lengths(result: ConflictsResult) -> Heat:
    """Length of task vectors over the model's, by layer and model, on one scale."""
    return heat(
        {(one.tensor, one.model): 100 * one.relative for one in result.norms},
        (ALL, *result.tensors),
        result.models,
        x="|task vector| / |model|, %",
        show=lambda value: f"{value:.2g}",
    )


def elections(result: ConflictsResult) -> Lines:
    """Entries whose sign is the majority's, by layer; with a base, unanimous elements too."""
    tensors = shown_rows(result.tensors)
    found = {one.tensor: one for one in result.elections}
    lines = [("majority", "with the majority's sign", Style(BLUE, "o"))]
    if result.centre == "base":
        lines.append(("unanimous", "elements without a conflict", Style(VERMILION, "s")))
    return Lines(
        series=tuple(
            Series(
                name=words,
                x=tuple(range(len(tensors))),
                value=tuple(100 * getattr(found[tensor], name) for tensor in tensors),
                style=style,
            )
            for name, words, style in lines
        ),
        x=Axis(names=tuple(tensors)),
        y=Axis("%", limits=(0, 102)),
        levels=(Level(100 * coin(len(result.models)), "majority of random signs"),),
    )


def coin(count: int) -> float:
    """The expected share with the majority's sign where K signs are drawn by a fair coin.

    Example:
        >>> coin(2), coin(3)
        (0.75, 0.75)
    """
    return sum(math.comb(count, up) * max(up, count - up) for up in range(count + 1)) / (
        count * 2**count
    )


def _by_pair(
    result: ConflictsResult,
    value: Callable[[ConflictPair], float],
    x: str,
    show: Callable[[float], str],
    limit: float,
) -> Heat:
    names = dict(zip(result.models, short(list(result.models), 9), strict=True))
    cells = {(pair.tensor, _name(pair, names)): value(pair) for pair in result.pairs}
    pairs = dict.fromkeys(_name(pair, names) for pair in result.pairs)
    return heat(cells, (ALL, *result.tensors), list(pairs), x=x, show=show, limit=limit)


def _name(pair: ConflictPair, names: Mapping[str, str]) -> str:
    return f"{names[pair.one]} / {names[pair.other]}"
