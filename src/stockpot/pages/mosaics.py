"""Many small pictures as one: rows of pictures under names, wrapped, in the colours of their rows.

Shapes: R pictures, C channels, H x W pixels.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..libraries import optional
from .axes import SMALL, panels
from .units import plain, readable, short

COLOURS = "RdBu_r"
"""Of pictures with one channel: white is 0, red positive, blue negative."""

LEAST = 6.0
"""Inches of a figure's width, for its title."""


@dataclass(frozen=True, slots=True, eq=False)
class Strip:
    """A row of pictures.

    Attributes:
        label: at its left.
        values: float32 [R, C, H, W].
        scale: the value whose colour is full; rows to be compared share it.
    """

    label: str
    values: NDArray[np.floating[Any]]
    scale: float


def plot_mosaic(
    ax: Any,
    strips: Sequence[Strip],
    names: Sequence[str],
    *,
    columns: int,
    question: str,
    inches: float,
) -> Any:
    """All strips under each other, `columns` pictures wide, and again below for the next ones.

    Args:
        ax: the matplotlib Axes to draw on; a new figure without one.
        strips: with equally many pictures of one size.
        names: over each picture of the first strip; none for none. A name may have two lines.
        columns: pictures side by side.
        question: the title.
        inches: width of a picture.
    """
    count, _, height, width = strips[0].values.shape
    columns = min(columns, count)
    gap = max(1, round(0.08 * width))
    lines = max((name.count("\n") + 1 for name in names), default=0)
    band = max(gap, round(lines * 0.19 / inches * width))
    blocks = -(-count // columns)
    tall = band + len(strips) * (height + gap)
    canvas = np.full((blocks * tall, columns * (width + gap) - gap, 4), 0.0, dtype=np.float32)
    ticks: list[tuple[float, str]] = []
    for number in range(count):
        top, left = (number // columns) * tall + band, (number % columns) * (width + gap)
        for row, strip in enumerate(strips):
            start = top + row * (height + gap)
            place = (slice(start, start + height), slice(left, left + width))
            canvas[place] = _coloured(strip.values[number], strip.scale)
            if not left:
                ticks.append((start + height / 2 - 0.5, plain(strip.label)))
    beside = 0.5 + 0.08 * max(len(strip.label) for strip in strips)
    wide = max(beside + columns * inches * (1 + gap / width), LEAST)
    size = (wide, canvas.shape[0] * inches / width + 0.2)
    (ax,) = panels(ax, 1, columns=1, size=size, question=question)
    ax.imshow(canvas, interpolation="none", aspect="equal")
    shown = _names(names)
    for number, name in enumerate(shown):
        top, left = (number // columns) * tall + band, (number % columns) * (width + gap)
        for line, words in enumerate(reversed(name.split("\n"))):
            up = top - 1 - line * band / (lines + 0.3)
            ax.text(left + width / 2, up, words, ha="center", va="bottom", fontsize=SMALL - 1.5)
    ax.set_yticks([place for place, _ in ticks], [label for _, label in ticks], fontsize=SMALL)
    ax.set_xticks([])
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)
    return ax


def largest(values: Sequence[NDArray[np.float32]]) -> float:
    """The largest absolute value of all, for a common scale."""
    found = max((float(np.nanmax(np.abs(one), initial=0.0)) for one in values), default=0.0)
    return found or 1.0


def _names(names: Sequence[str]) -> list[str]:
    pairs = [name.split("\n") for name in names]
    cut = [short([readable(one) for one in line], 11) for line in zip(*pairs, strict=True)]
    return ["\n".join(plain(one) for one in name) for name in zip(*cut, strict=True)]


def _coloured(picture_CHW: NDArray[np.float32], scale: float) -> NDArray[np.float32]:
    """RGBA [H, W, 4]: three channels as they are, half of the scale being 0; others by their mean.

    What is not a number is clear.
    """
    colours = optional("matplotlib").colormaps[COLOURS]
    shown = np.clip(0.5 + 0.5 * picture_CHW / scale, 0, 1)
    if len(picture_CHW) == 3:
        found = np.concatenate([np.moveaxis(shown, 0, -1), np.ones((*shown.shape[1:], 1))], axis=-1)
    else:
        found = np.asarray(colours(shown.mean(axis=0)))
    clear = np.isnan(shown).any(axis=0)
    found[clear] = 0
    return np.nan_to_num(found).astype(np.float32)
