"""What the study of the protocol gives, after arXiv 2411.09263 and its published code."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

from ..study import MainTable, StudyResult

OURS = "ours"
PUBLISHED = "published"
GAP = "logits-ensemble - uniform-soup"
"""The column of how far the ensemble is above the soup."""
COPIES = "copies-ensemble"
"""The ensemble of one network with itself, run after run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProtocolPoint:
    """One column under one protocol, over pools.

    Attributes:
        protocol: "ours", one deviation from it, or "published", all of them.
        n: ingredients.
        method: the column.
        accuracy, low, high: on the test split.
        difference, difference_low, difference_high: to the same column under "ours", on the same
            samples of the same pools.
    """

    protocol: str
    n: int
    method: str
    accuracy: float
    low: float
    high: float
    difference: float
    difference_low: float
    difference_high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """What greedy selection did under one protocol, means over pools.

    Attributes:
        members: how many were accepted.
        selection: accuracy that the greedy soup was chosen by.
        test: what it has on the test split.
    """

    protocol: str
    n: int
    members: float
    selection: float
    test: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ProtocolResult(StudyResult):
    """What `protocol` found.

    Attributes:
        title: the question.
        pools, counts: seeds, and numbers of ingredients.
        protocols: name to words; what does not apply to the network is left out.
        points: every column under every protocol.
        choices: of greedy selection.
        facts: for a reader.
    """

    file_kind: ClassVar[str] = "protocol"
    main_figure: ClassVar[str] = "stockpot.studies.protocol.page:plot_protocol"
    main_table: ClassVar[MainTable] = ProtocolPoint, "points"

    title: str
    pools: tuple[int, ...]
    counts: tuple[int, ...]
    protocols: tuple[tuple[str, str], ...]
    points: tuple[ProtocolPoint, ...]
    choices: tuple[Choice, ...]
    facts: tuple[tuple[str, str], ...]

    def at(self, protocol: str, n: int, method: str) -> ProtocolPoint | None:
        """One column under one protocol, if it is there."""
        wanted = protocol, n, method
        return next((p for p in self.points if (p.protocol, p.n, p.method) == wanted), None)

    @property
    def sentences(self) -> tuple[str, ...]:
        """What the numbers say at the most ingredients."""
        return tuple(_sentences(self))


def _sentences(found: ProtocolResult) -> Iterator[str]:
    n = found.counts[-1]
    for protocol, words in found.protocols[1:]:
        moved = [
            p
            for p in found.points
            if (p.protocol, p.n) == (protocol, n) and _told(p) and p.method != GAP
        ]
        if not moved:
            yield f"{words}: no column of {n} is told apart from ours."
            continue
        largest = max(moved, key=lambda p: abs(p.difference))
        yield (
            f"{words}: {len(moved)} of the columns of {n} move, most {largest.method}, by "
            f"{_points(largest)}."
        )
    gaps = [found.at(protocol, n, GAP) for protocol in (OURS, PUBLISHED)]
    ours, theirs = (one for one in gaps if one)
    yield (
        f"The ensemble of {n} is {_span(theirs)} above the uniform soup under the published "
        f"protocol, and {_span(ours)} under ours."
    )
    copies = next((p for p in found.points if (p.n, p.method) == (n, COPIES)), None)
    single = found.at(copies.protocol, 1, "first-single") if copies else None
    if copies and single:
        yield (
            f"With dropout live, {n} runs of one network averaged score "
            f"{100 * (copies.accuracy - single.accuracy):+.1f} points over one run of it: an "
            "ensemble's gain without any second network."
        )
    leaked = [c for c in found.choices if (c.protocol, c.n) == ("leaked-split", n)]
    clean = [c for c in found.choices if (c.protocol, c.n) == (OURS, n)]
    for one, other in zip(leaked, clean, strict=True):
        yield (
            f"A leaked selection split promises {100 * (one.selection - one.test):+.1f} points "
            f"more than the test split gives, ours {100 * (other.selection - other.test):+.1f}; it "
            f"accepts {one.members:.1f} of {n}, ours {other.members:.1f}."
        )


def _span(p: ProtocolPoint) -> str:
    return f"{100 * p.accuracy:+.1f} points [{100 * p.low:.1f}, {100 * p.high:.1f}]"


def _told(p: ProtocolPoint) -> bool:
    return p.difference_low > 0 or p.difference_high < 0


def _points(p: ProtocolPoint) -> str:
    span = f"{100 * p.difference:+.1f} points"
    if math.isnan(p.difference_low):
        return span
    return f"{span} [{100 * p.difference_low:.1f}, {100 * p.difference_high:.1f}]"
