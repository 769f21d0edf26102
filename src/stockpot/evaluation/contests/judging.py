"""How networks are run and scored on the data of several tasks."""

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from torch import nn

from ..choices.soups import Reestimate, mend
from ..predictions.predict import Tally, predict
from ..predictions.views import JUDGED, split_of
from ..results.comparison import Kind
from ..scores.bootstrap import Resampler
from ..scores.metrics import METRICS, Metric
from .bodies import Task
from .lent import Judged, Seen
from .scoring import score_predictions


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Judging:
    """What judging takes.

    Attributes:
        metric: the main one.
        resamplers: of each task's splits.
        reestimate: re-estimates batch-norm statistics, or nothing.
        seed: of that.
        batch_size: samples of one forward pass.
        tally: counts the samples that were run.
    """

    metric: Metric
    resamplers: Mapping[str, Mapping[str, Resampler]]
    reestimate: Reestimate | None
    seed: int
    batch_size: int
    tally: Tally = field(default_factory=Tally)

    def selection(self, task: Task, network: nn.Module, name: str) -> float:
        """The metric of a candidate on a task's selection split."""
        if self.reestimate:
            mend(network, task.splits.train, self.reestimate, seed=self.seed)
        assert self.metric.value
        seen = predict(
            network,
            task.splits.selection,
            batch_size=self.batch_size,
            tally=self.tally,
            called=f"{name} candidate/{task.name}",
        )
        return self.metric.value(seen)

    def judged(
        self, name: str, kind: Kind, tasks: Sequence[Task], networks: Mapping[str, nn.Module]
    ) -> dict[str, Mapping[str, Judged]]:
        """A contender, and a second one with statistics re-estimated where it keeps any."""
        found: dict[str, dict[str, Judged]] = {
            name: {
                task.name: self.score(task, self.run(task, networks[task.name], name), kind)
                for task in tasks
            }
        }
        if self.reestimate:
            mended = f"{name}:bn"
            found[mended] = {}
            for task in tasks:
                network = copy.deepcopy(networks[task.name])
                if mend(network, task.splits.train, self.reestimate, seed=self.seed):
                    seen = self.run(task, network, mended)
                    found[mended] |= {task.name: self.score(task, seen, kind)}
            if not found[mended]:
                del found[mended]
        return {**found}

    def run(self, task: Task, network: nn.Module, called: str) -> Seen:
        """What a network says on each split of a task."""
        return {
            split: predict(
                network,
                split_of(task.splits, split),
                batch_size=self.batch_size,
                tally=self.tally,
                called=f"{called}/{task.name}",
            )
            for split in JUDGED
        }

    def score(self, task: Task, seen: Seen, kind: Kind = "ensemble") -> Judged:
        """What was said, by every metric."""
        usual = ("auroc", "accuracy") if task.splits.test.is_multilabel else ("accuracy",)
        metrics = (self.metric, *(METRICS[name] for name in (*usual, "nll", "ece")))
        distinct = tuple({one.name: one for one in metrics}.values())
        scored = score_predictions(seen, distinct, self.resamplers[task.name])
        return Judged(seen, scored, kind, seen["test"].forwards)
