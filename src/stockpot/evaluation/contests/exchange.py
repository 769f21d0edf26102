"""Bodies of tasks under the heads of other tasks, each pair run once: what an ensemble needs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from ..predictions.ensembles import logits_ensemble
from ..predictions.predict import Predictions
from ..predictions.views import JUDGED
from .bodies import TaskNetwork, with_body_of
from .contest import Contest, Exam
from .ledger import Entrant

Entrants = Mapping[str, Entrant]
"""What one method gives, by task."""


@dataclass(slots=True, eq=False)
class Exchange:
    """What each task's body gives through every other task's head, run when it is asked for."""

    contest: Contest
    exams: Mapping[str, Exam]
    own: frozenset[str]
    individual: Entrants
    known: dict[tuple[str, str], Mapping[str, Predictions]] = field(
        default_factory=dict[tuple[str, str], Mapping[str, Predictions]]
    )

    def ensemble(self, name: str, task: TaskNetwork, bodies: Sequence[TaskNetwork]) -> Entrant:
        """Mean over bodies of the logits of one task's head."""
        each = [self._through(task, body) for body in bodies]
        joined = {split: logits_ensemble([one[split] for one in each]) for split in JUDGED}
        return self.contest.entrant(self.exams[task.name], name, "ensemble", joined)

    def _through(self, task: TaskNetwork, body: TaskNetwork) -> Mapping[str, Predictions]:
        if task.name == body.name:
            return self.individual[task.name].predictions
        key, exam = (task.name, body.name), self.exams[task.name]
        if key not in self.known:
            network, called = with_body_of(task, body, self.own), f"body of {body.name}"
            self.known[key] = {
                split: self.contest.run(network, exam.data(split), called) for split in JUDGED
            }
        return self.known[key]
