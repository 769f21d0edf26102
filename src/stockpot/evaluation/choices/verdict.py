"""What to do, chosen on one split and confirmed once on another, or said to be undecided."""

import math
from collections.abc import Sequence
from dataclasses import astuple, dataclass

import numpy as np

from ...errors import FieldError
from ..results.comparison import Verdict
from ..results.intervals import LEVEL, Difference
from ..scores.bootstrap import Estimate
from ..scores.metrics import Metric

OPTIONS = {
    "keep-best": "single-best",
    "uniform-soup": "uniform-soup",
    "greedy-soup": "greedy-soup",
    "ensemble": "logits-ensemble",
}
"""What can be done, and the method that stands for it; of equals the first is taken."""


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Option:
    """One thing that can be done.

    Attributes:
        choice: as a verdict calls it.
        method: what stands for it in the table.
        forwards: network evaluations that one sample costs.
        selection: its score on the selection split.
        test: its score on the test split, with draws that are paired with the others'.
    """

    choice: str
    method: str
    forwards: float
    selection: float
    test: Estimate


def judge(options: Sequence[Option], metric: Metric, margin: float, *, covers: str) -> Verdict:
    """Choose on the selection split; confirm on the test split.

    The choice is the cheapest option within `margin` of the best score on the selection split; of
    equally cheap ones the best. It is confirmed where the test split shows it to be better than
    every cheaper option, and not worse by more than `margin` than every other, each at 5% after
    Holm's correction. Otherwise the data do not decide.

    Args:
        options: what can be done; with none there is nothing to decide.
        metric: of the scores.
        margin: what counts as no difference, in the metric's units.
        covers: what the intervals cover, in words.

    Raises:
        FieldError: for a margin below 0.
    """
    require_margin(margin)
    if not options:
        sentence = f"Nothing to decide: none of {', '.join(OPTIONS.values())} was compared."
        return Verdict(choice="undecided", sentence=sentence, evidence=(), margin=margin)
    chosen = _choose(options, metric, margin)
    rivals = [one for one in options if one is not chosen]
    differences = [
        Difference(chosen.choice, one.choice, chosen.test.minus(one.test).interval())
        for one in rivals
    ]
    raw = [_p_value(chosen, one, metric, margin) for one in rivals]
    evidence = tuple(zip(differences, holm(raw), strict=True))
    decided = all(p < 1 - LEVEL for _, p in evidence)
    return Verdict(
        choice=chosen.choice if decided else "undecided",
        sentence=_sentence(chosen, rivals, evidence, metric, margin, covers, decided=decided),
        evidence=evidence,
        margin=margin,
        preferred=chosen.choice,
    )


def require_margin(margin: float) -> None:
    """A margin is a number from 0 up.

    Raises:
        FieldError: where it is not.
    """
    if not 0 <= margin < math.inf:
        raise FieldError(f"margin must be a number of at least 0; got {margin}.")


def holm(p_values: Sequence[float]) -> list[float]:
    """p-values corrected for how many there are: the i-th smallest times (m - i + 1), ascending.

    Example:
        >>> holm([0.01, 0.04, 0.03])
        [0.03, 0.06, 0.06]

    Source: S. Holm, A simple sequentially rejective multiple test procedure, 1979.
    """
    corrected = [0.0] * len(p_values)
    largest = 0.0
    for rank, at in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[at]))
        corrected[at] = largest
    return corrected


def _choose(options: Sequence[Option], metric: Metric, margin: float) -> Option:
    scores = [metric.sign * one.selection for one in options]
    near = [
        one for one, score in zip(options, scores, strict=True) if score >= max(scores) - margin
    ]
    # Where no score is a number nothing is near the best.
    return min(near or options, key=lambda one: (one.forwards, -metric.sign * one.selection))


def _p_value(chosen: Option, rival: Option, metric: Metric, margin: float) -> float:
    """Two-sided, by the share of draws on the wrong side of what has to be shown."""
    bound = 0.0 if rival.forwards < chosen.forwards else -margin
    draws_R = metric.sign * chosen.test.minus(rival.test).draws
    # Differences of equal scores are not exactly 0 where they were summed in another order.
    wrong = int((~(draws_R > bound + 1e-12)).sum())
    return min(1.0, 2 * (wrong + 1) / (len(np.atleast_1d(draws_R)) + 1))


def _sentence(
    chosen: Option,
    rivals: Sequence[Option],
    evidence: Sequence[tuple[Difference, float]],
    metric: Metric,
    margin: float,
    covers: str,
    *,
    decided: bool,
) -> str:
    unit = _Unit(metric)
    parts = [
        f"{'' if p < 1 - LEVEL else 'not shown to be '}{_claim(chosen, rival, margin, unit)} "
        f"({unit.of(difference)}, p = {p:.2g})"
        for rival, (difference, p) in sorted(
            zip(rivals, evidence, strict=True), key=lambda pair: pair[1][1]
        )
    ]
    shown = "; ".join(parts) or "there is nothing to compare it with"
    dearest = max((one.forwards for one in rivals), default=chosen.forwards)
    price = f"{_evaluations(chosen.forwards)} a sample"
    price += f" instead of up to {dearest:g}" if dearest > chosen.forwards else ""
    start = (
        f"Take {chosen.choice}: it was chosen on the selection split and the test split confirms it"
        if decided
        else f"The data do not decide: the selection split prefers {chosen.choice}, but the test "
        "split does not confirm it"
    )
    return (
        f"{start}. On the test split its {metric.name} is {unit.score(chosen.test.value)}: "
        f"{shown}, at {price}. {covers} p is after Holm's correction."
    )


def _claim(chosen: Option, rival: Option, margin: float, unit: "_Unit") -> str:
    """What `_p_value` tests, in words."""
    if rival.forwards < chosen.forwards or not margin:
        return f"better than {rival.choice}"
    return f"within {unit.amount(margin)} of {rival.choice} or better"


def _evaluations(count: float) -> str:
    return "1 network evaluation" if count == 1 else f"{count:g} network evaluations"


@dataclass(frozen=True, slots=True)
class _Unit:
    """Numbers of a metric in words: fractions in per cent and points, others as they are."""

    metric: Metric

    @property
    def is_share(self) -> bool:
        return self.metric.name in ("accuracy", "auroc")

    def score(self, value: float) -> str:
        return f"{100 * value:.1f}%" if self.is_share else f"{value:.4g}"

    def amount(self, value: float) -> str:
        return f"{100 * value:g} points" if self.is_share else f"{value:g}"

    def of(self, difference: Difference) -> str:
        value, low, high = astuple(difference.interval)
        if self.is_share:
            return f"{100 * value:+.1f} points [{100 * low:.1f}, {100 * high:.1f}]"
        bounds = "no interval" if math.isnan(low) else f"{low:.4g}, {high:.4g}"
        return f"{value:+.4g} [{bounds}]"
