"""What is said of the whole pools: differences, options for the verdict, the winner's confusion.

Shapes: L classes.
"""

from dataclasses import dataclass, field
from itertools import combinations

import numpy as np

from ...data import Dataset
from ...libraries import optional
from ..choices.verdict import OPTIONS, Option
from ..results.comparison import Confusion
from ..results.intervals import Difference
from ..scores.metrics import Metric
from .ledger import Entrant, Ledger

COMPARED = ("logits-ensemble", "greedy-soup", "uniform-soup", "distilled", "single-best")
"""Every two of these are compared, the first less the second."""


def differences_at(
    ledger: Ledger, n: int, metric: Metric, judged: str = "test"
) -> list[Difference]:
    """Paired differences on the test split or a view of it, of what there is for N ingredients."""
    there = [method for method in COMPARED if ledger.has(n, method, (judged, metric.name))]
    return [ledger.difference(n, a, b, metric.name, judged) for a, b in combinations(there, 2)]


def options_at(ledger: Ledger, n: int, metric: Metric) -> list[Option]:
    """What can be done with N ingredients; soups as they are or re-estimated, as selection says."""
    options: list[Option] = []
    for choice, method in OPTIONS.items():
        found = [
            Option(
                choice=choice,
                method=name,
                forwards=ledger.forwards(n, name),
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

    def add(self, entrant: Entrant) -> None:
        """Count one entrant's classes, if it is an option and a sample has one class."""
        seen = entrant.predictions["test"]
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
