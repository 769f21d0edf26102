"""What merges of one recipe are worth: on the selection split as often as wanted, on test once.

Everything that is the same for all candidates, data, networks, each task's own tensors, is held.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from torch import Tensor, nn

from ...checkpoints.entry import from_state_dict
from ...data import Splits
from ...errors import FieldError
from ...networks import put_weights
from ..predictions.predict import BATCH, Tally, predict
from ..predictions.views import JUDGED, split_of
from ..results.comparison import ALL_TASKS, Row
from ..results.intervals import Difference
from ..scores.bootstrap import Resampler
from ..scores.custom import metric_called
from ..scores.metrics import METRICS, Metric
from ..scores.singles import network_scores
from .bodies import Task
from .scoring import Ledger, Place, Scored, score_predictions
from .task_scores import mean_of, resamplers_of
from .trial import Entrant

State = Mapping[str, Tensor]


@dataclass(frozen=True, slots=True, eq=False)
class Subject:
    """A network that takes a merge's tensors, and the data that it is judged on.

    Attributes:
        name: of the data, or of the task.
        network: in evaluation mode; its weights are replaced by each candidate's.
        splits: its data.
        own: tensors that stay as they are, whatever the merge has.
    """

    name: str
    network: nn.Module
    splits: Splits
    own: State = field(default_factory=dict[str, Tensor])

    def holding(self, state: State) -> nn.Module:
        """The network with a merge's tensors."""
        held = from_state_dict({**state, **self.own}, self.name)
        return put_weights(self.network, held.entries, Path(self.name))


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Bench:
    """Scores merges; each of several subjects counts the same.

    Attributes:
        subjects: one, or one for each task.
        metric: what is searched by; `common_metric` has the default.
        label: what it calls the networks.
        batch_size: samples of one forward pass.
        tally: where the samples run are noted.
    """

    subjects: Sequence[Subject]
    metric: Metric
    label: str = ""
    batch_size: int = BATCH
    tally: Tally = field(default_factory=Tally)

    def __post_init__(self) -> None:
        if not self.metric.chooses:
            raise FieldError(
                f"metric {self.metric.name} brings its own data, so it cannot choose on the "
                "selection split: let it take (network, data)."
            )

    def score(self, state: State) -> float:
        """Mean over subjects of the metric on the selection split, larger is better; no other."""
        found = [self._score(one, one.holding(state)) for one in self.subjects]
        return self.metric.sign * math.fsum(found) / len(found)

    def _score(self, subject: Subject, network: nn.Module) -> float:
        data = subject.splits.selection
        if self.metric.of_network:
            self.tally.add(f"candidates/{subject.name}", len(data))
            return self.metric.of_network(network, data)
        seen = predict(
            network,
            data,
            batch_size=self.batch_size,
            tally=self.tally,
            called=f"candidates/{subject.name}",
        )
        assert self.metric.value
        return self.metric.value(seen)

    def judge(self, states: Mapping[str, State], n: int) -> tuple[list[Row], list[Difference]]:
        """Rows of both splits, and how far the first stands from the others on the test split.

        Args:
            states: merges by what they are called, the one that was found first.
            n: how many models they are made of.
        """
        names = [one.name for one in self.subjects]
        whole = ALL_TASKS if len(names) > 1 else names[0]
        ledgers = {name: Ledger(self.label, name) for name in dict.fromkeys((whole, *names))}
        resamplers = dict(
            resamplers_of([Task(one.name, one.network, one.splits) for one in self.subjects])
        )
        place = Place(n, 0, 0)
        for method, state in states.items():
            entrant = Entrant(method=method, kind="merge", forwards=1)
            each: list[Scored] = []
            for one in self.subjects:
                each.append(self._scored(one, state, method, resamplers[one.name]))
                ledgers[one.name].add(place, entrant, each[-1])
            if whole not in names:
                ledgers[whole].add(place, entrant, mean_of(each))
        rows = [row for ledger in ledgers.values() for row in ledger.rows]
        return rows, list(self._differences(ledgers[whole], list(states), n))

    def _scored(
        self, subject: Subject, state: State, method: str, at: Mapping[str, Resampler]
    ) -> Scored:
        network, splits = subject.holding(state), subject.splits
        seen = {
            split: predict(
                network,
                split_of(splits, split),
                batch_size=self.batch_size,
                tally=self.tally,
                called=f"{method}/{subject.name}",
            )
            for split in JUDGED
        }
        usual = usual_metric(splits)
        wanted = (self.metric, METRICS[usual], METRICS["accuracy"], METRICS["nll"], METRICS["ece"])
        metrics = tuple({one.name: one for one in wanted}.values())
        return score_predictions(seen, metrics, at, network_scores(network, splits, metrics, {}))

    def _differences(self, ledger: Ledger, names: Sequence[str], n: int) -> Iterator[Difference]:
        key = "test", self.metric.name
        first = ledger.estimate(n, names[0], key)
        for name in names[1:]:
            gap = first.minus(ledger.estimate(n, name, key))
            yield Difference(names[0], name, gap.interval(), n)


def usual_metric(splits: Splits) -> str:
    """Accuracy, or auroc where a sample may have several classes."""
    return "auroc" if splits.test.is_multilabel else "accuracy"


def common_metric(wanted: str | Metric | None, subjects: Mapping[str, Splits]) -> Metric:
    """The metric that is wanted, or the usual one of all subjects.

    Raises:
        FieldError: there is none of this name, or the subjects have no usual one in common.
    """
    usual = {usual_metric(splits) for splits in subjects.values()}
    if wanted is None and len(usual) > 1:
        raise FieldError(
            "some tasks have one class a sample and some several, and there is no mean of accuracy "
            "and auroc: name one metric for all."
        )
    return wanted if isinstance(wanted, Metric) else metric_called(wanted or usual.pop())
