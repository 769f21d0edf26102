"""Which figures a page shows, with the words under them."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ..evaluation.results.comparison import Comparison
from ..pages.figures import Figure, Panel, figure
from ..pages.units import readable
from . import findings, quality
from .attempts import attempts, fields
from .confusions import MOST, confusion
from .decisions import decisions
from .dispersion import largest, scales
from .metric_rows import MetricRows, drawable, metric_rows
from .quality import ENSEMBLE, gaps


@dataclass(frozen=True, slots=True)
class _Planned:
    name: str
    title: str
    panels: Callable[[Comparison, MetricRows], Sequence[Panel]]
    found: Callable[[Comparison, MetricRows], str]
    wanted: Callable[[Comparison, MetricRows], bool]
    caption: str


_BARS = "Bars are 95% intervals."

_PLANNED = (
    _Planned(
        "contenders",
        "Every contender at a glance",
        lambda _, shown: (quality.contenders(shown),),
        findings.best_of_all,
        lambda _result, shown: len(shown.cells()) == 1 and not shown.grows(),
        f"{_BARS} Best at the top of each kind: how far are merges from the ensemble above them "
        "and from the single networks below?",
    ),
    _Planned(
        "quality",
        "Quality against the number of networks",
        quality.quality,
        findings.best_by_cell,
        lambda _result, shown: shown.grows(),
        f"{_BARS} What costs one network stands left, what runs every member right, single "
        "networks in both. A soup that falls below the mean single network should not be used; "
        "where an ensemble's line is flat, further members only cost.",
    ),
    _Planned(
        "networks",
        "Quality by architecture",
        quality.networks,
        findings.best_by_network,
        lambda _result, shown: len({cell.network for cell in shown.cells()}) > 1,
        f"{_BARS} Each band is one architecture. Soups that lie left of the single networks in one "
        "band and right of them in another say that merging depends on the architecture.",
    ),
    _Planned(
        "data-sets",
        "Quality by data set",
        quality.data_sets,
        findings.best_by_data,
        lambda _result, shown: len({cell.data for cell in shown.cells()}) > 1,
        f"{_BARS} Each band is one data set. An order of the methods that changes from band to "
        "band is a finding about the data, not about the methods.",
    ),
    _Planned(
        "cost",
        "Quality against cost",
        quality.cost,
        findings.best_for_one,
        lambda _result, shown: any(row.forwards > 1 for row in shown.finite()),
        f"{_BARS} Up is better, left is cheaper; what costs the same stands side by side. "
        f"Named are "
        "those that nothing cheaper is as good as; the others are not worth their price.",
    ),
    _Planned(
        "gap",
        "The gap between ensemble and soup",
        quality.gap,
        findings.gap_at_most,
        lambda _result, shown: any(n > 1 for points in gaps(shown).values() for n, _ in points),
        "Above the dotted line the ensemble is ahead. Small dots are single trials, one subset of "
        "one pool: where they straddle the line, the sign of the gap is not certain.",
    ),
    _Planned(
        "parts",
        "Quality on each part and view of the test split",
        quality.parts,
        findings.worst_part,
        lambda result, shown: any(map(drawable, result.parted(shown.metric))),
        f"{_BARS} Each band is one part, the whole test split first. Where a soup keeps more of "
        "its quality than the single networks do, averaging has bought robustness.",
    ),
    _Planned(
        "part-gaps",
        "The ensemble against the others, part by part",
        lambda result, shown: (quality.part_gaps(result, shown),),
        findings.told_apart,
        lambda result, _shown: any(
            pair.part != "all" and pair.a == ENSEMBLE for pair in result.differences
        ),
        f"{_BARS} Right of the dotted line the ensemble is ahead. A bar that crosses the line does "
        "not tell the two methods apart.",
    ),
    _Planned(
        "scales",
        "The best scale of each task",
        lambda result, _: scales(result),
        findings.scales_apart,
        lambda result, _shown: bool(largest(result)),
        "Each line is a task on the selection split, its largest mark the best scale. Where best "
        "scales lie apart, no one scale serves all tasks, and pooling over scales may help.",
    ),
    _Planned(
        "decisions",
        "Greedy soup's decisions",
        decisions,
        findings.accepted,
        lambda result, _shown: bool(result.decisions),
        "Top to bottom in the order of the single scores. Filled and + were accepted, hollow and – "
        "were left out. A soup of one network is the best single network.",
    ),
    _Planned(
        "attempts",
        "The score over trials",
        attempts,
        findings.best_trial,
        lambda result, _shown: any(math.isfinite(one.score) for one in result.attempts),
        "Each dot is a candidate's score on the selection split, the line the best until then; "
        "diamonds were tried first. A line that still climbs at the end asks for more trials. "
        "The best of many scores flatters: the test split says what it is worth.",
    ),
    _Planned(
        "fields",
        "The score against each field",
        fields,
        findings.best_values,
        lambda result, _shown: any(
            value is not None
            for one in result.attempts
            if math.isfinite(one.score)
            for _, value in one.values
        ),
        "Each dot is a candidate, by its value of one field; the others varied too. A best dot at "
        "the edge of a panel asks for a wider range.",
    ),
    _Planned(
        "confusion",
        "Confusion of the preferred method",
        lambda result, _: (confusion(result.confusion),) if result.confusion else (),
        findings.worst_mistake,
        lambda result, _shown: result.confusion is not None and bool(result.confusion.classes),
        "Rows are the true classes, columns what was said. The darker a cell, the larger its part "
        f"of the row; mistakes are orange. Of more than {MOST} classes those with the most "
        f"mistakes "
        "are shown.",
    ),
)


def figures(result: Comparison) -> tuple[Figure, ...]:
    """Every figure that the comparison has something for."""
    shown = metric_rows(result)
    if not shown.finite():
        return ()
    left_out = sorted({row.method for row in shown.contenders()} - _drawn(shown))
    missing = f" Not drawn, because not finite: {', '.join(left_out)}." if left_out else ""
    return tuple(
        figure(
            one.name,
            one.title,
            readable(f"{one.found(result, shown)} {one.caption}{missing}"),
            *one.panels(result, shown),
        )
        for one in _PLANNED
        if one.wanted(result, shown)
    )


def _drawn(shown: MetricRows) -> set[str]:
    return {row.method for row in shown.finite()}
