"""One table over everything that was compared on one split: a row per method and part of it."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from ...values.result import Result
from .intervals import Difference

Kind = Literal["single", "merge", "test-time-adaptation", "ensemble", "control"]
"""For grouping and colour; a control is there to compare with. What was adapted at test time is no
merge like the others: it has seen the inputs of the test split."""

MEMBER = "single:"
"""What the name of one ingredient by itself begins with."""
ADAPTED: Kind = "test-time-adaptation"
ADAPTED_WORDS = "adapted on unlabelled test inputs"
"""What every table says of it."""
SMALLER = ("nll", "ece")
"""Metrics of which a smaller value is better."""
ALL_TASKS = "all-tasks"
"""What a row's `data` is for the mean over tasks."""
INDIVIDUAL = "individual"
"""Each task's own network."""
NORMALISED = "normalised"
"""Begins the name of a metric divided by the individual network's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One result: a metric of a method on a part of a split, with its 95% interval.

    Attributes:
        n: how many ingredients the method was given.
        subset: which N of the pool they were; -1 where several subsets were averaged.
        seed: which pool; -1 where several pools were averaged, and the interval is over them.
        method: its name; a colon parts it from what it was applied to.
        part: of the split, or a view of it such as "noise-3"; "all" is the whole as it is.
        metric: accuracy, auroc, nll or ece.
        forwards: network evaluations that one sample costs.
        network, data: what it was measured on, where a sweep has several.
        non_finite: fraction of the samples whose output was not finite; they count as wrong.
    """

    n: int
    subset: int
    seed: int
    method: str
    kind: Kind
    split: str
    part: str
    metric: str
    value: float
    low: float
    high: float
    forwards: int
    network: str = ""
    data: str = ""
    non_finite: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What one method takes beside what it gives, for N ingredients.

    Attributes:
        method, n: which.
        parameters: numbers that are kept.
        macs: multiply-adds of one sample at the actual input; a FLOP count is twice as many.
        seconds: wall time of 1,000 samples on the machine of the run.
        nbytes: of the files that are kept.
    """

    method: str
    n: int
    parameters: int
    macs: int
    seconds: float
    nbytes: int
    network: str = ""
    data: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """One step of a greedy soup: the candidate, the score with it, and whether it stayed."""

    seed: int
    subset: int
    n: int
    step: int
    candidate: str
    score: float
    accepted: bool
    network: str = ""
    data: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One candidate of a search: what it was, and its score on the selection split.

    Attributes:
        method: what was tuned; n, subset, seed: of which ingredients.
        number: which, from 0.
        origin: the start that it is, or the sampler that drew it.
        score: by the metric as it is; -∞, or ∞ where smaller is better, for what has none.
        leads: whether it was better than all before it.
        values: on each axis that was searched; None where it is not on the axis.
        problem: why it has no score.
    """

    method: str
    number: int
    origin: str
    score: float
    leads: bool
    values: tuple[tuple[str, float | int | bool | str | None], ...]
    problem: str = ""
    n: int = 0
    subset: int = 0
    seed: int = 0
    network: str = ""
    data: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Confusion:
    """Counts [true class][said class] of one method on the test split."""

    method: str
    classes: tuple[str, ...]
    counts: tuple[tuple[int, ...], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What to do, chosen on the selection split and confirmed once on the test split.

    Attributes:
        choice: the method to take; "undecided", or "nothing-to-decide".
        sentence: it and its evidence in words.
        evidence: differences of the choice on the test split, each with the p of its claim; all
            must be shown, so none is corrected for their number.
        margin: what counts as no difference, in the metric's units.
        preferred: what the selection split prefers, also where the test split does not confirm it.
        claims: what has to be shown of each difference, in words.
        best: the method that is best on the test split, which nothing is chosen by.
    """

    choice: str
    sentence: str
    evidence: tuple[tuple[Difference, float], ...]
    margin: float
    preferred: str = ""
    claims: tuple[str, ...] = ()
    best: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison(Result):
    """Every row, and what may be said of them.

    Attributes:
        title: the question.
        rows: the results; the part "all" is the whole split.
        differences: pairs of methods, compared on the same samples.
        conclusion: one sentence, computed from the differences.
        costs: what each method takes.
        decisions: how the greedy soups came about.
        confusion: of the winner.
        verdict: what to do.
        facts: about the run, for a reader: networks, data, splits, seeds, machine.
        attempts: what searches on the selection split tried.
        origin: where the test samples come from, as far as it bears on the numbers.
    """

    file_kind: ClassVar[str] = "comparison"

    title: str
    rows: tuple[Row, ...]
    differences: tuple[Difference, ...]
    conclusion: str
    costs: tuple[Cost, ...] = ()
    decisions: tuple[Decision, ...] = ()
    confusion: Confusion | None = None
    verdict: Verdict | None = None
    facts: tuple[tuple[str, str], ...] = ()
    attempts: tuple[Attempt, ...] = ()
    origin: str = ""

    def summary(self) -> tuple[Row, ...]:
        """Of the rows of the whole split, the one that sums up each N, method, split and metric.

        It is the row over several pools or subsets where there is one, else the only row.
        """
        return _summed(self.overall())

    def parted(self, metric: str) -> tuple[Row, ...]:
        """The same of the test split and its parts, at the largest N; nothing without parts."""
        rows = _summed(row for row in self.rows if (row.split, row.metric) == ("test", metric))
        if all(row.part == "all" for row in rows):
            return ()
        most: dict[tuple[str, str], int] = {}
        for row in rows:
            most[row.network, row.data] = max(row.n, most.get((row.network, row.data), 0))
        return tuple(row for row in rows if row.n == most[row.network, row.data])

    def overall(self) -> tuple[Row, ...]:
        """The rows of the whole split."""
        return tuple(row for row in self.rows if row.part == "all")

    @property
    def sentences(self) -> tuple[str, ...]:
        """The verdict's sentence, the conclusion, and the origin, without saying a thing twice."""
        said = (self.verdict.sentence if self.verdict else "", self.conclusion, self.origin)
        return tuple(dict.fromkeys(one for one in said if one))

    def table(self) -> tuple[type[Any], Sequence[object]]:
        """All rows."""
        return Row, self.rows


def _summed(rows: Iterable[Row]) -> tuple[Row, ...]:
    """The row over most pools, then subsets, of each result."""
    best: dict[tuple[object, ...], Row] = {}
    for row in rows:
        key = (row.network, row.data, row.n, row.method, row.split, row.part, row.metric)
        held = best.get(key)
        if held is None or (row.seed, row.subset) < (held.seed, held.subset):
            best[key] = row
    return tuple(best.values())
