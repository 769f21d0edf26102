"""Many small pictures as one: rows of pictures under names, wrapped, in the colours of their rows.

Shapes: R pictures, C channels, H x W pixels.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..libraries import optional
from .figures import Mosaic
from .units import plain, readable, short

COLOURS = "RdBu_r"
"""Of pictures with one channel: white is 0, red positive, blue negative."""

LEAST = 4.6
"""Inches of a figure's width."""
_LABELS, _NAMES = 8.0, 6.5
"""Points."""


def mosaic_size(mosaic: Mosaic) -> tuple[float, float]:
    """Inches."""
    width = mosaic.strips[0].values.shape[3]
    columns, gap, _, blocks, tall = _layout(mosaic)
    beside = 0.5 + 0.08 * max(len(strip.label) for strip in mosaic.strips)
    wide = beside + columns * mosaic.inches * (1 + gap / width)
    return max(wide, LEAST), blocks * tall * mosaic.inches / width + 0.2


def _layout(mosaic: Mosaic) -> tuple[int, int, int, int, int]:
    """Pictures across; pixels between, and for names; blocks, and the height of one."""
    count, _, height, width = mosaic.strips[0].values.shape
    columns, gap = min(mosaic.columns, count), max(1, round(0.08 * width))
    lines = max((name.count("\n") + 1 for name in mosaic.names), default=0)
    band = max(gap, round(lines * 0.19 / mosaic.inches * width))
    return columns, gap, band, -(-count // columns), band + len(mosaic.strips) * (height + gap)


def paint_mosaic(ax: Any, mosaic: Mosaic) -> None:
    """Draw all strips as one picture."""
    count, _, height, width = mosaic.strips[0].values.shape
    columns, gap, band, blocks, tall = _layout(mosaic)
    canvas = np.full((blocks * tall, columns * (width + gap) - gap, 4), 0.0, dtype=np.float32)
    ticks: list[tuple[float, str]] = []
    for number in range(count):
        top, left = (number // columns) * tall + band, (number % columns) * (width + gap)
        for row, strip in enumerate(mosaic.strips):
            start = top + row * (height + gap)
            place = (slice(start, start + height), slice(left, left + width))
            canvas[place] = _coloured(strip.values[number], strip.scale)
            if not left:
                ticks.append((start + height / 2 - 0.5, plain(strip.label)))
    ax.imshow(canvas, interpolation="none", aspect="equal")
    for number, name in enumerate(_names(mosaic.names)):
        top, left = (number // columns) * tall + band, (number % columns) * (width + gap)
        for line, words in enumerate(reversed(name.split("\n"))):
            up = top - 1 - line * band / (name.count("\n") + 1.3)
            ax.text(left + width / 2, up, words, ha="center", va="bottom", fontsize=_NAMES)
    ax.set_yticks([place for place, _ in ticks], [label for _, label in ticks], fontsize=_LABELS)
    ax.set_xticks([])
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)


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
