"""One colour and marker for each family of methods, the same in every figure.

The palette is Okabe and Ito's, which colour-blind readers can tell apart; for what was adapted at
test time it is the wine of Paul Tol's.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from ..evaluation.results.comparison import ADAPTED, ADAPTED_WORDS, MEMBER, Comparison, Row

BLUE, SKY, GREEN, ORANGE = "#0072b2", "#56b4e9", "#009e73", "#e69f00"
VERMILION, PINK, GREY, WINE = "#d55e00", "#cc79a7", "#6b7280", "#882255"
"""Colours that differ in lightness too; every figure takes its colours here."""

INK = "#000000"
"""Text and axes; in a page it becomes the colour of the page's text."""
PAPER = "#ffffff"
"""The inside of hollow markers; in a page it becomes the colour of the page."""
GRID = "#e5e7eb"
"""Grid lines; in a page they become the colour of its rules."""

TABLE_1: Mapping[str, str] = {
    "single-mean": "Perf Ave",
    "uniform-soup": "Uni Soup",
    "greedy-soup": "Grd Soup",
    "logits-ensemble": "Ens Lgt",
    "features-ensemble": "Ens Fts",
    "greedy-logits-ensemble": "Grd Ens Lgt",
    "greedy-features-ensemble": "Grd Ens Fts",
}
"""The columns of Table 1 in arXiv 2411.09263, in its order, with its names."""


@dataclass(frozen=True, slots=True)
class Family:
    """Methods that answer the same question in the same way."""

    words: str
    colour: str
    marker: str


FAMILIES: Mapping[str, Family] = {
    "single": Family("single networks", GREY, "o"),
    "uniform-soup": Family("uniform soup", BLUE, "s"),
    "greedy-soup": Family("greedy soup", SKY, "D"),
    "merge": Family("other merges", PINK, "P"),
    ADAPTED: Family(f"merges {ADAPTED_WORDS}", WINE, "p"),
    "distilled": Family("one network distilled from the ensemble", INK, "*"),
    "ensemble": Family("ensembles of outputs", GREEN, "^"),
    "features": Family("ensembles of features", ORANGE, "v"),
    "control": Family("controls", VERMILION, "X"),
}

_DASHES: tuple[Any, ...] = ("solid", (0, (4, 2)), (0, (1, 1.5)), (0, (6, 2, 1, 2)))


@dataclass(frozen=True, slots=True)
class Style:
    """How one method is drawn: its family's colour and marker, and a dash and filling of its own.

    Attributes:
        colour, marker: of the family; a marker of '' is none.
        dash: matplotlib's linestyle; "none" joins nothing.
        hollow: whether the marker's inside is empty.
        width, size: points, of the line and of the marker.
        alpha: opacity.
    """

    colour: str
    marker: str = "o"
    dash: Any = "solid"
    hollow: bool = False
    width: float = 1.4
    size: float = 4.5
    alpha: float = 1.0

    def marks(self) -> dict[str, Any]:
        """Keywords of `Axes.plot` for the markers."""
        return {
            "marker": self.marker,
            "markersize": self.size,
            "markerfacecolor": PAPER if self.hollow else self.colour,
            "markeredgecolor": self.colour if self.hollow else INK,
            "markeredgewidth": 1.2 if self.hollow else 0.4,
            "color": self.colour,
        }


def family_of(row: Row) -> str:
    """The key in FAMILIES of the row's method."""
    name = row.method.partition(":")[0]
    if name == "distilled":
        return name
    if row.kind == "control":
        return "control"
    if name in FAMILIES and row.kind == "merge":
        return name
    if row.kind == "ensemble" and "features" in name:
        return "features"
    return row.kind


def styles(result: Comparison) -> dict[str, Style]:
    """The style of every method of a comparison, by its name.

    It depends on which methods there are, not on which of them a figure shows.
    """
    seen: dict[str, int] = {}
    found: dict[str, Style] = {}
    for row in in_order(result.rows):
        if row.method in found:
            continue
        key = family_of(row)
        turn = 0 if row.method.startswith(MEMBER) else seen.get(key, 0)
        if not row.method.startswith(MEMBER):
            seen[key] = turn + 1
        dashes = len(_DASHES)
        found[row.method] = Style(
            FAMILIES[key].colour,
            FAMILIES[key].marker,
            _DASHES[turn % dashes],
            hollow=(turn + turn // dashes) % 2 == 1,
        )
    return found


def detail_of(row: Row) -> str:
    """What stands under a method's name: that it has seen test inputs."""
    return ADAPTED_WORDS if row.kind == ADAPTED else ""


def in_order(rows: Iterable[Row]) -> list[Row]:
    """Table 1's methods first, in its order; then by family; otherwise as they were."""
    paper, families = list(TABLE_1), list(FAMILIES)

    def place(row: Row) -> tuple[int, int]:
        column = paper.index(row.method) if row.method in TABLE_1 else len(paper)
        return column, families.index(family_of(row))

    return sorted(rows, key=place)
