"""What each task's body gives through every other task's head, run when it is first asked for."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from torch import nn

from ..predictions.ensembles import logits_ensemble
from ..predictions.predict import Predictions
from ..predictions.views import JUDGED
from ..results.comparison import Kind
from .bodies import Task, lend_body
from .scoring import Scored

Seen = Mapping[str, Predictions]
"""Predictions on each split."""


@dataclass(frozen=True, slots=True, eq=False)
class Judged:
    """A contender on one task."""

    seen: Seen
    scored: Scored
    kind: Kind
    forwards: int


@dataclass(slots=True, eq=False)
class Lent:
    """What each body gives through each head, run when it is first asked for."""

    tasks: Sequence[Task]
    own: frozenset[str]
    individual: Mapping[str, Judged]
    run: Callable[[Task, nn.Module, str], Seen]
    known: dict[tuple[str, str], Seen] = field(default_factory=dict[tuple[str, str], Seen])

    def ensemble(self, task: Task, bodies: Sequence[Task]) -> Seen:
        """Mean over bodies of the logits of one task's head."""
        found = [self._through(task, body) for body in bodies]
        return {split: logits_ensemble([one[split] for one in found]) for split in JUDGED}

    def _through(self, task: Task, body: Task) -> Seen:
        if task.name == body.name:
            return self.individual[task.name].seen
        key = task.name, body.name
        if key not in self.known:
            network = lend_body(task, body, self.own)
            self.known[key] = self.run(task, network, f"body of {body.name}")
        return self.known[key]
