"""A recipe's models and an experiment's data, opened once for many candidates."""

import glob
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import count
from pathlib import Path

from torch import Tensor, nn

from ...checkpoints.entry import Checkpoint, from_state_dict
from ...core import Settled
from ...engine.driver import SettledBefore
from ...engine.merge import merge_opened
from ...engine.options import Options
from ...engine.prepare import prepare
from ...errors import FieldError
from ...evaluation.contests.contest import Contest, Exam, Resamplers, choose_metric
from ...evaluation.contests.ledger import Ledger, RowPlace
from ...evaluation.results.comparison import Row
from ...evaluation.results.intervals import Difference
from ...experiments.cells import slug
from ...experiments.experiment import Experiment
from ...factors.sharing import Factoring
from ...networks import put_weights
from ...recipes.reading.recipe import Recipe, Rule
from ...recipes.reading.space import Candidate
from ..fitting.devices import Device, pick_device
from .cell import Cell, open_cell
from .tasks import open_tasks


@dataclass(frozen=True, slots=True, eq=False)
class JudgedTask:
    """A network that takes candidates' tensors, and what it is judged on.

    Attributes:
        name: of the data, or of the task.
        network: in evaluation mode; its weights are replaced by each candidate's.
        exam: its data.
        own: tensors that stay as they are, whatever the candidate has.
    """

    name: str
    network: nn.Module
    exam: Exam
    own: Mapping[str, Tensor] = field(default_factory=dict[str, Tensor])

    def holding(self, state: Mapping[str, Tensor]) -> nn.Module:
        """The network with a candidate's tensors."""
        held = from_state_dict({**state, **self.own}, self.name)
        return put_weights(self.network, held.entries, Path(self.name))


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Candidates:
    """A recipe's models and an experiment's data, opened once.

    Attributes:
        recipe: the one that is searched.
        models, base: its models and base, in memory where they fit.
        tasks: one, or several that count the same.
        contest: how candidates are run and judged.
        options: of merging.
        digests: of the data of each task.
        inputs: every checkpoint that the recipe reads.
        factoring: what all candidates share, where they do.
        settled: what candidates before have settled, for those that settle alike.
    """

    recipe: Recipe
    models: Sequence[Checkpoint]
    base: Checkpoint | None
    tasks: Sequence[JudgedTask]
    contest: Contest
    options: Options
    digests: Mapping[str, str]
    inputs: Sequence[Checkpoint]
    factoring: Factoring | None = None
    settled: SettledBefore = field(default_factory=dict[object, Settled])

    @classmethod
    def open(
        cls, recipe: Recipe, experiment: Experiment, device: Device, options: Options
    ) -> "Candidates":
        """Open and check everything; no network is run."""
        cells, own = _cells(experiment)
        if experiment.tasks:
            recipe = _of_tasks(recipe, list(cells), own)
        prepared = prepare(recipe, options, None)
        total = sum(one.nbytes for one in prepared.inputs)
        kept = {
            id(one): _held(one) if total <= options.memory_bytes else one for one in prepared.inputs
        }
        base = prepared.assignments.base
        opened = prepared.assignments.models[-len(recipe.models) :]
        models = [kept[id(one)] for one in opened]
        place = pick_device(device)
        resamplers = Resamplers(count())
        tasks = [
            JudgedTask(name, cell.network(0).to(place), resamplers.exam(cell.splits))
            for name, cell in cells.items()
        ]
        for number, model in enumerate(models):
            at = number if experiment.tasks else 0
            put_weights(tasks[at].network, model.entries, Path(model.label))
            if own:
                kept_own = {name: model.entries[name].load() for name in own}
                tasks[at] = replace(tasks[at], own=kept_own)
        contest = Contest(
            metric=choose_metric(
                experiment.compare.metric, [cell.splits for cell in cells.values()]
            ),
            ledger=Ledger(slug(experiment.network), list(cells)),
        )
        return cls(
            recipe=recipe,
            models=models,
            base=None if base is None else kept[id(base)],
            tasks=tasks,
            contest=contest,
            options=options,
            digests={name: cell.digest for name, cell in cells.items()},
            inputs=prepared.inputs,
        )

    def recipe_of(self, candidate: Candidate) -> Recipe:
        """The recipe with a candidate's method and weights; layers are of its own method alone."""
        weights = candidate.weights or (None,) * len(self.recipe.models)
        models = [
            replace(one, weight=weight)
            for one, weight in zip(self.recipe.models, weights, strict=True)
        ]
        same = type(candidate.method) is type(self.recipe.method)
        return replace(
            self.recipe,
            method=candidate.method,
            models=tuple(models),
            decay=self.recipe.decay if candidate.weights is None else None,
            layers=self.recipe.layers if same else {},
            stack=self.recipe.stack if same else None,
            search={},
        )

    def merge(self, candidate: Candidate) -> dict[str, Tensor]:
        """A candidate's tensors."""
        recipe = self.recipe_of(candidate)
        return merge_opened(recipe, self.models, self.base, self.options, self.settled)

    def score(self, candidate: Candidate) -> float:
        """Mean over tasks on the selection split, larger is better.

        From factors that are there, where they are of this candidate.
        """
        state = None if self.factoring is None else self.factoring.merge(candidate)
        state = self.merge(candidate) if state is None else state
        contest, scores = self.contest, list[float]()
        for task in self.tasks:
            if contest.metric.of_network:
                contest.tally.add("candidates", len(task.exam.splits.selection))
            network = task.holding(state)
            scores.append(contest.selection_score(task.exam, network, "candidates"))
        return math.fsum(scores) / len(scores)

    def judge(
        self, candidates: Mapping[str, Candidate]
    ) -> tuple[tuple[Row, ...], tuple[Difference, ...]]:
        """Rows of both splits, and how far the first stands from the others on the test split."""
        contest, n = self.contest, len(self.recipe.models)
        for method, candidate in candidates.items():
            state = self.merge(candidate)
            contest.ledger.enter(
                RowPlace(n, 0, 0),
                [
                    contest.network_entrant(task.exam, method, "merge", task.holding(state))
                    for task in self.tasks
                ],
            )
        first, *others = candidates
        metric = contest.metric.name
        pairs = [(first, one) for one in others]
        differences = contest.ledger.differences(n, pairs, metric)
        return contest.ledger.rows(), tuple(differences)


def _cells(experiment: Experiment) -> tuple[dict[str, Cell], frozenset[str]]:
    """What is judged, by name, and the tensors that stay each task's own."""
    cells = list(experiment.cells())
    if len(cells) > 1:
        raise FieldError(
            f"a search is on one network and data set; the experiment's sweep has {len(cells)}."
        )
    ((_, cell),) = cells
    if cell.tasks:
        tasks = open_tasks(cell)
        return dict(tasks.cells), tasks.own
    opened = open_cell(cell)
    return {opened.splits.test.name: opened}, frozenset()


def _of_tasks(recipe: Recipe, tasks: Sequence[str], own: frozenset[str]) -> Recipe:
    """Models in the order of the tasks; what is each task's own is not merged.

    The merged file has the first task's in its place, so that `stockpot run` gives a whole network.
    """
    by_name = {Path(one.path).stem: one for one in recipe.models}
    models = recipe.models
    if set(by_name) == set(tasks) and len(by_name) == len(models):
        models = tuple(by_name[name] for name in tasks)
    elif len(models) != len(tasks):
        raise FieldError(
            f"the recipe has {len(models)} models for {len(tasks)} tasks: give one for each, in "
            f"the order {', '.join(tasks)}."
        )
    rules = [Rule(match=glob.escape(name), copy_from=0) for name in sorted(own)]
    return replace(recipe, models=models, rules=(*rules, *recipe.rules))


def _held(checkpoint: Checkpoint) -> Checkpoint:
    """The same checkpoint in memory; what was tied stays tied."""
    state: dict[str, Tensor] = {}
    for name, entry in checkpoint.entries.items():
        tied = entry.alias_of
        state[name] = state[tied] if tied is not None and tied in state else entry.load()
    return from_state_dict(state, checkpoint.label)
