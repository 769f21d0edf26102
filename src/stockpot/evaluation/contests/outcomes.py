"""What is said of the whole pools: differences, options for the verdict, the winner's confusion.

Shapes: L classes.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import combinations

import numpy as np

from ...data import Dataset
from ...libraries import optional
from ..choices.verdict import Option
from ..predictions.views import TEST
from ..results.comparison import Confusion
from ..results.intervals import Difference
from ..scores.metrics import Metric
from .ledger import Entrant, Ledger

KEPT = ("logits-ensemble", "greedy-soup", "uniform-soup", "distilled", "single-best", "single-mean")
"""Of these every two are compared at each N and on each view, the first less the second."""

_NO_CHOICE = ("single-mean",)
"""Nobody can take the mean of networks' scores."""


def differences_at(
    ledger: Ledger, n: int, metric: Metric, judged: str = TEST, *, among: Sequence[str] = KEPT
) -> list[Difference]:
    """Paired differences of every two methods that there are for N ingredients, as `among` goes.

    A p is of the two being alike, after Holm's correction for all pairs of this list.
    """
    there = [method for method in among if ledger.has(n, method, (judged, metric.name))]
    return ledger.differences(n, combinations(there, 2), metric.name, judged)


def options_at(ledger: Ledger, n: int, metric: Metric) -> tuple[list[Option], list[Option]]:
    """What can be taken of N ingredients, and what is there to compare with.

    Networks, merges and ensembles can be taken. Controls cannot, nor what was adapted on the test
    split's inputs: of these the selection split knows nothing.
    """
    options: dict[str, Option] = {}
    for method in ledger.methods(n):
        if ledger.has(n, method, (TEST, metric.name)):
            options[method] = Option(
                method=method,
                forwards=ledger.forwards(n, method),
                selection=ledger.estimate(n, method, ("selection", metric.name)).value,
                test=ledger.estimate(n, method, (TEST, metric.name)),
            )
    choices = [
        one
        for name, one in options.items()
        if name not in _NO_CHOICE and ledger.kind(n, name) in ("single", "merge", "ensemble")
    ]
    return choices, [options[name] for name in _NO_CHOICE if name in options]


@dataclass(frozen=True, slots=True, eq=False)
class Confusions:
    """Counts [true][said] on the test split of each method, over the pools."""

    counts: dict[str, np.ndarray[tuple[int, int], np.dtype[np.int64]]] = field(
        default_factory=dict[str, "np.ndarray[tuple[int, int], np.dtype[np.int64]]"]
    )

    def add(self, entrant: Entrant) -> None:
        """Count one entrant's classes, where a sample has one."""
        seen = entrant.predictions["test"]
        if entrant.method in _NO_CHOICE or seen.is_multilabel:
            return
        found = optional("sklearn.metrics").confusion_matrix(
            seen.labels, seen.classes(), labels=range(seen.logits.shape[1])
        )
        self.counts[entrant.method] = self.counts.get(entrant.method, 0) + found

    def of(self, method: str, data: Dataset) -> Confusion | None:
        """The table of one method, or None where a sample may have several classes."""
        if method not in self.counts:
            return None
        names = data.classes or tuple(str(one) for one in range(data.num_classes))
        rows: list[list[int]] = self.counts[method].tolist()
        return Confusion(method=method, classes=names, counts=tuple(map(tuple, rows)))
