"""What a federated experiment came to: accuracy by round over seeds, clients, bytes, scopes."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, ClassVar

from ..evaluation.results.estimator import SHARE, holm, over_seeds, p_over_seeds
from ..evaluation.results.intervals import LEVEL, NO_INTERVAL, Interval
from ..values.result import Result
from ..values.to_plain_data import plain_values
from .rounds.finished import Round

LAST = 5
"""The accuracy that runs are compared by is the mean of so many last rounds: single rounds jump."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trace:
    """One algorithm on one partition with one seed.

    Attributes:
        alpha: of the partition; None where it is by domain.
        run: the algorithm's name.
        seed: of the repetition.
        rounds: the start first.
    """

    alpha: float | None
    run: str
    seed: int
    rounds: tuple[Round, ...]

    @property
    def final(self) -> float:
        """Mean accuracy of the last five rounds, or of all but the start where there are fewer."""
        last = [one.accuracy for one in self.rounds[1:]][-LAST:]
        return math.fsum(last) / len(last)

    @property
    def sent(self) -> int:
        """Bytes of all rounds, both ways."""
        return sum(one.sent_down + one.sent_up for one in self.rounds)


@dataclass(frozen=True, slots=True)
class RoundRow:
    """A round, over seeds (seed -1) or of one, over clients (client -1) or of one.

    Attributes:
        alpha, run, seed, round, client: of what; alpha is '' where the partition is by domain.
        split, metric, value, low, high: accuracy on the test split with its interval over seeds.
        samples: of the test split.
        participants, dropped, sent_down, sent_up: of the round, in a row over clients.
    """

    alpha: float | str
    run: str
    seed: int
    round: int
    client: int
    split: str = "test"
    metric: str = "accuracy"
    value: float = math.nan
    low: float | str = ""
    high: float | str = ""
    samples: int | str = ""
    participants: int | str = ""
    dropped: int | str = ""
    sent_down: int | str = ""
    sent_up: int | str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome(Result):
    """Every trace of a federated experiment.

    Attributes:
        title: what was run.
        traces: by partition, algorithm and seed, in that order.
        facts: about the run, for a reader.
        experiment: in plain values.
    """

    file_kind: ClassVar[str] = "federation"
    main_figure: ClassVar[str] = "stockpot.federated.figures:plot_rounds"

    title: str
    traces: tuple[Trace, ...]
    facts: tuple[tuple[str, str], ...]
    experiment: Mapping[str, Any]

    @property
    def alphas(self) -> tuple[float | None, ...]:
        """The partitions, in order."""
        return tuple(dict.fromkeys(one.alpha for one in self.traces))

    @property
    def runs(self) -> tuple[str, ...]:
        """The algorithms, in order."""
        return tuple(dict.fromkeys(one.run for one in self.traces))

    def of(self, alpha: float | None, run: str) -> tuple[Trace, ...]:
        """One algorithm on one partition, a trace for each seed."""
        return tuple(one for one in self.traces if (one.alpha, one.run) == (alpha, run))

    def curve(self, alpha: float | None, run: str) -> tuple[Interval, ...]:
        """Accuracy of each round over seeds, the start first."""
        by_round = zip(*(one.rounds for one in self.of(alpha, run)), strict=True)
        return tuple(over_seeds([one.accuracy for one in same], SHARE) for same in by_round)

    def final(self, alpha: float | None, run: str) -> Interval:
        """Accuracy of the last rounds over seeds."""
        return over_seeds([one.final for one in self.of(alpha, run)], SHARE)

    @property
    def window(self) -> str:
        """Which rounds `final` is the mean of, in words."""
        last = max(len(one.rounds) for one in self.traces) - 1
        first = max(1, last - LAST + 1)
        return f"round {last}" if first >= last else f"rounds {first} to {last}"

    def gain(self, alpha: float | None, run: str) -> Interval:
        """How far it is above the first algorithm there, on the same data and start by seed."""
        return over_seeds(self._gains(alpha, run), SHARE.minus(SHARE))

    def gain_ps(self) -> dict[tuple[float | None, str], float]:
        """p of each such gain being none, after Holm's correction for all of them."""
        keys = [(alpha, run) for alpha in self.alphas for run in self.runs[1:]]
        tested = [p_over_seeds(self._gains(*key), SHARE.minus(SHARE)) for key in keys]
        return dict(zip(keys, holm(tested), strict=True))

    def _gains(self, alpha: float | None, run: str) -> list[float]:
        pairs = zip(self.of(alpha, run), self.of(alpha, self.runs[0]), strict=True)
        return [one.final - first.final for one, first in pairs]

    def clients(self, alpha: float | None, run: str) -> dict[int, float]:
        """Accuracy of each client after the last round, its mean over seeds."""
        found: dict[int, list[float]] = {}
        for trace in self.of(alpha, run):
            for client, accuracy in trace.rounds[-1].by_client.items():
                found.setdefault(client, []).append(accuracy)
        return {client: math.fsum(many) / len(many) for client, many in sorted(found.items())}

    @property
    def sentences(self) -> tuple[str, ...]:
        """Which algorithms are above or below the first, as far as their p-values show it."""
        p_values = self.gain_ps()
        return tuple(self._sentence(alpha, p_values) for alpha in self.alphas)

    def _sentence(self, alpha: float | None, p_values: Mapping[Any, float]) -> str:
        first, *others = self.runs
        decided: list[str] = []
        for run in others:
            gain, p = self.gain(alpha, run), p_values[alpha, run]
            if p < 1 - LEVEL:
                side = "above" if gain.value > 0 else "below"
                decided.append(f"{run} is {_points(gain)} points {side} (p = {p:.2g})")
        words = "; ".join(decided) or "no algorithm is told apart from it"
        mean = percent(self.final(alpha, first))
        return f"{partition_words(alpha)}: over {self.window} {first} has {mean}; {words}."

    def table(self) -> tuple[type[Any], Sequence[object]]:
        """A row for each round: over seeds (seed -1), of each seed, and of each of its clients."""
        over_all = [
            RoundRow(
                *(_alpha(alpha), run, -1, number, -1),
                value=one.value,
                low=one.low,
                high=one.high,
            )
            for alpha in self.alphas
            for run in self.runs
            for number, one in enumerate(self.curve(alpha, run))
        ]
        of_each = [
            row for trace in self.traces for one in trace.rounds for row in _rows(trace, one)
        ]
        return RoundRow, (*over_all, *of_each)

    def as_dict(self) -> dict[str, Any]:
        """Everything, as JSON has it: a bound that does not exist is null."""
        final = [
            {
                "alpha": alpha,
                "run": run,
                "final": asdict(self.final(alpha, run)),
                "gain": asdict(self.gain(alpha, run)),
            }
            for alpha in self.alphas
            for run in self.runs
        ]
        traces = [
            {
                "alpha": one.alpha,
                "run": one.run,
                "seed": one.seed,
                "rounds": [{"accuracy": r.accuracy, **r.as_dict()} for r in one.rounds],
            }
            for one in self.traces
        ]
        facts = [list(one) for one in self.facts]
        head = {"title": self.title, "experiment": self.experiment, "facts": facts}
        found: dict[str, Any] = {**head, "final": final, "traces": traces}
        return {key: plain_values(value) for key, value in found.items()}


def _alpha(alpha: float | None) -> float | str:
    return "" if alpha is None else alpha


def _rows(trace: Trace, one: Round) -> list[RoundRow]:
    head = (_alpha(trace.alpha), trace.run, trace.seed, one.number)
    whole = RoundRow(
        *(*head, -1),
        value=one.accuracy,
        samples=sum(score.count for score in one.scores),
        participants=len(one.participants),
        dropped=len(one.dropped),
        sent_down=one.sent_down,
        sent_up=one.sent_up,
    )
    each = [
        RoundRow(*(*head, score.client), value=score.right / score.count, samples=score.count)
        for score in one.scores
        if score.count
    ]
    return [whole, *each]


def partition_words(alpha: float | None) -> str:
    """What a partition is called."""
    return "by domain" if alpha is None else f"alpha = {alpha:g}"


def percent(one: Interval) -> str:
    """An accuracy with its interval, where it has one."""
    if not math.isfinite(one.low):
        return f"{100 * one.value:.1f}% [{NO_INTERVAL}]"
    return f"{100 * one.value:.1f}% [{100 * one.low:.1f}, {100 * one.high:.1f}]"


def _points(gain: Interval) -> str:
    low, high = sorted((abs(gain.low), abs(gain.high)))
    return f"{100 * abs(gain.value):.1f} [{100 * low:.1f}, {100 * high:.1f}]"
