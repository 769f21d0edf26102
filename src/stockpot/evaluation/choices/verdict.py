"""What to do, chosen on one split and confirmed once on another, or said to be undecided."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from ...errors import FieldError
from ..results.comparison import Verdict
from ..results.estimator import samples_for
from ..results.intervals import LEVEL, Difference
from ..scores.bootstrap import Estimate
from ..scores.metrics import Metric
from .wording import Wording

UNDECIDED = "undecided"
NOTHING = "nothing-to-decide"


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Option:
    """One thing that can be done, or is there to compare with.

    Attributes:
        method: its row in the table.
        forwards: network evaluations that one sample costs.
        selection: its score on the selection split.
        test: its score on the test split, with draws that are paired with the others'.
    """

    method: str
    forwards: float
    selection: float
    test: Estimate


def judge(
    options: Sequence[Option],
    metric: Metric,
    margin: float,
    *,
    covers: str,
    references: Sequence[Option] = (),
) -> Verdict:
    """Choose on the selection split; confirm on the test split.

    The choice is the cheapest option within `margin` of the best score on the selection split; of
    equally cheap ones the best. It is confirmed where the test split shows it to be better than
    every cheaper rival, and not worse by more than `margin` than every other, each at 5%. As all of
    that must be shown, no p is corrected for how many there are (an intersection-union test).
    Otherwise the data do not decide.

    Args:
        options: what can be done; where there is one, or all give the same answers, there is
            nothing to decide.
        metric: of the scores.
        margin: what counts as no difference, in the metric's units.
        covers: what the intervals cover, in words.
        references: rivals that are no choice, such as the mean single network.

    Raises:
        FieldError: for a margin below 0.

    Source: R. L. Berger, Multiparameter hypothesis testing and acceptance sampling, 1982.
    """
    require_margin(margin)
    if len(options) < 2:
        one = options[0].method if options else "nothing"
        sentence = f"Nothing to decide: {one} was compared, and nothing else that could be taken."
        return Verdict(choice=NOTHING, sentence=sentence, evidence=(), margin=margin, preferred=one)
    chosen = _choose(options, metric, margin)
    rivals = [one for one in (*options, *references) if one is not chosen]
    gaps = [chosen.test.minus(one.test) for one in rivals]
    p_values = [
        _p_value(gap, chosen, one, metric, margin) for gap, one in zip(gaps, rivals, strict=True)
    ]
    evidence = tuple(
        (Difference(chosen.method, one.method, gap.interval()), p)
        for one, gap, p in zip(rivals, gaps, p_values, strict=True)
    )
    best = max(options, key=lambda one: _or_worst(metric.sign * one.test.value))
    wording = Wording(metric, margin)
    claims = tuple(wording.claim(_is_cheaper(one, chosen), one.method) for one in rivals)
    verdict = Verdict(
        choice=chosen.method if all(p < 1 - LEVEL for p in p_values) else UNDECIDED,
        sentence="",
        evidence=evidence,
        claims=claims,
        margin=margin,
        preferred=chosen.method,
        best=best.method,
    )
    if all(gap.is_nothing for gap in gaps):
        verdict = replace(verdict, choice=NOTHING)
        said = wording.same_answers(chosen.method, chosen.test.units)
    else:
        said = wording.sentence(
            verdict,
            confirmed=verdict.choice != UNDECIDED,
            score=chosen.test.interval(),
            best=best.test.value,
            price=_price(chosen, rivals),
        )
    few = _too_few(chosen, margin) if verdict.choice != chosen.method else ""
    return replace(verdict, sentence=f"{said}{few} {covers}")


def require_margin(margin: float) -> None:
    """A margin is a number from 0 up.

    Raises:
        FieldError: where it is not.
    """
    if not 0 <= margin < math.inf:
        raise FieldError(f"margin must be a number of at least 0; got {margin}.")


def _choose(options: Sequence[Option], metric: Metric, margin: float) -> Option:
    scores = [metric.sign * one.selection for one in options]
    near = [
        one for one, score in zip(options, scores, strict=True) if score >= max(scores) - margin
    ]
    # Where no score is a number nothing is near the best.
    return min(near or options, key=lambda one: (one.forwards, -metric.sign * one.selection))


def _is_cheaper(rival: Option, chosen: Option) -> bool:
    return rival.forwards < chosen.forwards


def _p_value(gap: Estimate, chosen: Option, rival: Option, metric: Metric, margin: float) -> float:
    """Of the claim that `Wording.claim` has in words."""
    signed = gap if metric.larger else gap.over(-1)
    if _is_cheaper(rival, chosen) or not margin:
        return signed.p_above(0.0)
    return signed.p_no_worse(margin)


def _or_worst(score: float) -> float:
    return score if score == score else -math.inf


def _price(chosen: Option, rivals: Sequence[Option]) -> str:
    count = chosen.forwards
    said = "1 network evaluation" if count == 1 else f"{count:g} network evaluations"
    dearest = max(one.forwards for one in rivals)
    return f"{said} a sample" + (f" instead of up to {dearest:g}" if dearest > count else "")


def _too_few(chosen: Option, margin: float) -> str:
    """How many test samples a margin takes at least, where there are fewer."""
    if chosen.test.rows is None or not 0 < margin < 1 or chosen.test.pools == 2:
        return ""
    needed = samples_for(margin)
    if chosen.test.units >= needed:
        return ""
    return (
        f" {chosen.test.units:,} test samples cannot show a margin of {100 * margin:g} points: "
        f"that takes {needed:,}, and more where answers differ."
    )
