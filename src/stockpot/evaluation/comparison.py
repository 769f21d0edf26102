"""One table over everything that was compared on one split: a row per method and part of it."""

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import get_args

from .contenders import Contender, Kind
from .intervals import Difference, accuracy_interval


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One result: a metric of a method on a part of a split, with its 95% interval."""

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Every row, and what may be said of them.

    Attributes:
        title: the question.
        rows: the results; the part "all" is the whole split.
        differences: pairs of methods, compared on the same samples.
        choices: what was chosen on the selection split, in words.
        conclusion: one sentence, computed from the differences.
    """

    title: str
    rows: tuple[Row, ...]
    differences: tuple[Difference, ...]
    choices: tuple[str, ...]
    conclusion: str

    def overall(self) -> tuple[Row, ...]:
        """The rows of the whole split."""
        return tuple(row for row in self.rows if row.part == "all")

    def to_csv(self) -> str:
        """All rows under a header of the column names."""
        text = io.StringIO()
        writer = csv.DictWriter(text, [field.name for field in fields(Row)], lineterminator="\n")
        writer.writeheader()
        writer.writerows(asdict(row) for row in self.rows)
        return text.getvalue()

    def as_dict(self) -> dict[str, object]:
        """Everything, as JSON has it."""
        return asdict(self)


def tabulate(
    contenders: Sequence[Contender], parts: Mapping[str, slice], *, split: str, seed: int
) -> tuple[Row, ...]:
    """Accuracy with its interval for each contender, on the whole split and on each part of it.

    Contenders stand in the order of their kinds, and within a kind as they were given.
    """
    return tuple(
        _row(contender, part, where, split, seed)
        for contender in sorted(contenders, key=lambda one: get_args(Kind).index(one.kind))
        for part, where in {"all": slice(None), **parts}.items()
    )


def _row(contender: Contender, part: str, where: slice, split: str, seed: int) -> Row:
    interval = accuracy_interval(contender.correct[where], contender.originals[where])
    return Row(
        n=contender.n,
        subset=0,
        seed=seed,
        method=contender.method,
        kind=contender.kind,
        split=split,
        part=part,
        metric="accuracy",
        value=interval.value,
        low=interval.low,
        high=interval.high,
        forwards=contender.forwards,
    )
