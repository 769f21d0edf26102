"""A verdict in words."""

import math
from collections.abc import Sequence
from dataclasses import astuple, dataclass

from ..results.comparison import Verdict
from ..results.intervals import LEVEL, NO_INTERVAL, Difference, Interval
from ..scores.metrics import Metric

_MOST = 3
"""Rivals that a sentence names on either side; the table has all."""


@dataclass(frozen=True, slots=True)
class Wording:
    """Numbers of a metric in words: fractions in per cent and points, others as they are."""

    metric: Metric
    margin: float

    def claim(self, cheaper: bool, rival: str) -> str:
        """What has to be shown of the choice against a rival."""
        if cheaper or not self.margin:
            return f"better than {rival}"
        return f"within {self._amount(self.margin)} of {rival} or better"

    def same_answers(self, method: str, samples: int) -> str:
        """Where no candidate differs from another on any sample."""
        return (
            f"Nothing to decide: all candidates give the same answers on all {samples:,} test "
            f"samples. Of those that cost least, the selection split has {method} first."
        )

    def sentence(
        self, verdict: Verdict, *, confirmed: bool, score: Interval, best: float, price: str
    ) -> str:
        """What to take, what of that is shown and what is not."""
        pairs = sorted(
            zip(verdict.claims, verdict.evidence, strict=True), key=lambda pair: -pair[1][1]
        )
        shown = [one for one in pairs if one[1][1] < 1 - LEVEL]
        open_ = [one for one in pairs if not one[1][1] < 1 - LEVEL]
        name = verdict.preferred
        start = (
            f"Take {name}: the selection split chose it and the test split confirms it."
            if confirmed
            else f"The data do not decide: the selection split prefers {name}, and the test split "
            "does not confirm it."
        )
        said = [
            f"{start} Its {self.metric.name} on the test split is {self._score(score)}, at {price}"
        ]
        if verdict.best != name:
            said.append(f"; the best there, {verdict.best}, has {self._plain_score(best)}")
        said.append(".")
        if open_:
            said.append(f" Not shown to be {self._list(open_)}.")
        if shown:
            said.append(f" Shown to be {self._list(shown)}.")
        return "".join(said)

    def _list(self, pairs: Sequence[tuple[str, tuple[Difference, float]]]) -> str:
        named = [
            f"{claim} ({self._difference(difference)}, {_p(p)})"
            for claim, (difference, p) in pairs[:_MOST]
        ]
        left = len(pairs) - len(named)
        return "; ".join(named) + (f"; and {left} more in the table" if left else "")

    @property
    def _is_share(self) -> bool:
        return self.metric.name in ("accuracy", "auroc")

    def _plain_score(self, value: float) -> str:
        return f"{100 * value:.1f}%" if self._is_share else f"{value:.4g}"

    def _score(self, span: Interval) -> str:
        return f"{self._plain_score(span.value)} [{self._ends(span)}]"

    def _ends(self, span: Interval) -> str:
        if math.isnan(span.low):
            return NO_INTERVAL
        if self._is_share:
            return f"{100 * span.low:.1f}, {100 * span.high:.1f}"
        return f"{span.low:.4g}, {span.high:.4g}"

    def _amount(self, value: float) -> str:
        return f"{100 * value:g} points" if self._is_share else f"{value:g}"

    def _difference(self, difference: Difference) -> str:
        value, _, _ = astuple(difference.interval)
        said = f"{100 * value:+.1f} points" if self._is_share else f"{value:+.4g}"
        return f"{said} [{self._ends(difference.interval)}]"


def _p(p: float) -> str:
    return "no p" if math.isnan(p) else f"p = {p:.2g}"
