"""What is said of the whole pools: differences, options for the verdict, the winner's confusion.

Shapes: L classes.
"""

from dataclasses import dataclass, field
from itertools import combinations

import numpy as np

from ...data import Dataset
from ...extras import optional
from ..choices.verdict import OPTIONS, Option
from ..predictions.predict import Predictions
from ..predictions.views import split_and_part
from ..results.comparison import Confusion
from ..results.intervals import Difference
from ..scores.metrics import Metric
from ..scores.singles import Singles
from .scoring import Ledger
from .trial import Entrant

COMPARED = ("logits-ensemble", "greedy-soup", "uniform-soup", "distilled", "single-best")
"""Every two of these are compared, the first less the second."""


def differences_at(
    ledger: Ledger, n: int, metric: Metric, judged: str = "test"
) -> list[Difference]:
    """Paired differences on the test split or a view of it, of what there is for N ingredients."""
    key = judged, metric.name
    there = [method for method in COMPARED if ledger.has(n, method, key)]
    _, part = split_and_part(judged)

    def difference(a: str, b: str) -> Difference:
        apart = ledger.estimate(n, a, key).minus(ledger.estimate(n, b, key))
        return Difference(a, b, apart.interval(), n, part)

    return [difference(a, b) for a, b in combinations(there, 2)]


def options_at(ledger: Ledger, n: int, metric: Metric) -> list[Option]:
    """What can be done with N ingredients; soups as they are or re-estimated, as selection says."""
    options: list[Option] = []
    for choice, method in OPTIONS.items():
        found = [
            Option(
                choice=choice,
                method=name,
                forwards=ledger.networks(n, name),
                selection=ledger.estimate(n, name, ("selection", metric.name)).value,
                test=ledger.estimate(n, name, ("test", metric.name)),
            )
            for name in (method, f"{method}:bn")
            if ledger.has(n, name, ("test", metric.name))
        ]
        if found:
            options.append(max(found, key=lambda one: metric.sign * one.selection))
    return options


@dataclass(frozen=True, slots=True, eq=False)
class Confusions:
    """Counts [true][said] on the test split of each option, over the pools."""

    counts: dict[str, np.ndarray[tuple[int, int], np.dtype[np.int64]]] = field(
        default_factory=dict[str, "np.ndarray[tuple[int, int], np.dtype[np.int64]]"]
    )

    def add(self, entrant: Entrant, singles: Singles) -> None:
        """Count one entrant's classes, if it is an option and a sample has one class."""
        seen = _seen(entrant, singles)
        option = entrant.method.removesuffix(":bn") in OPTIONS.values()
        if not option or seen.is_multilabel:
            return
        found = optional("sklearn.metrics").confusion_matrix(
            seen.labels, seen.classes(), labels=range(seen.logits.shape[1])
        )
        self.counts[entrant.method] = self.counts.get(entrant.method, 0) + found

    def of(self, method: str, data: Dataset) -> Confusion | None:
        """The table of one option, or None where a sample may have several classes."""
        if method not in self.counts:
            return None
        names = data.classes or tuple(str(one) for one in range(data.num_classes))
        rows: list[list[int]] = self.counts[method].tolist()
        return Confusion(method=method, classes=names, counts=tuple(map(tuple, rows)))


def _seen(entrant: Entrant, singles: Singles) -> Predictions:
    if entrant.singles:
        return singles.runs["test"][entrant.singles[0]]
    return entrant.predictions["test"]
