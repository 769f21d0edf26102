"""A figure in a page, and how one is made of a plot.

A plot, `plot_...(result, ax)`, draws a result on the caller's matplotlib Axes, or in a new figure,
and gives the Axes, the first where there are several. It raises ExtraError without matplotlib.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from .svg import coarsen, inline_svg

MOST = 400_000
"""Characters of a figure whose marks are lines; those of larger ones are pixels."""


@dataclass(frozen=True, slots=True)
class Drawing:
    """A figure in a page.

    Attributes:
        name: its id.
        title: its question.
        svg: the element.
        caption: what was found, and how to see it.
    """

    name: str
    title: str
    svg: str
    caption: str


Planned = tuple[str, str, Callable[[Any], Any], Callable[[Any], str], str]
"""A figure of a result: name, title, plot, what was found, how to read it.

Plot and what was found, in numbers, are functions of the result."""


def draw(ax: Any, *, name: str, title: str, caption: str) -> Drawing:
    """The figure of `ax` as part of a page.

    Args:
        ax: what a plot gave.
        name: unique on the page: its id, and where the contents list leads.
        title: the question, in a few words.
        caption: what was found, in numbers, then how to read it. The page adds the command.
    """
    svg = inline_svg(ax, name=name, title=title, description=caption)
    if len(svg) > MOST:
        coarsen(ax)
        caption += " Its marks are pixels, because there are too many for lines."
        svg = inline_svg(ax, name=name, title=title, description=caption)
    return Drawing(name, title, svg, caption)


def draw_all(result: Any, planned: Iterable[Planned]) -> list[Drawing]:
    """The figures of one result."""
    return [
        draw(plot(result), name=name, title=title, caption=f"{found(result)} {reading}".strip())
        for name, title, plot, found, reading in planned
    ]
