"""Networks of different tasks merged into one body, each task keeping its own head, and judged."""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from time import perf_counter

from torch import nn

from ...core import Method
from ...errors import FieldError, MergeError, StockpotError
from ...experiments.adaptation import Adamerging
from ...recipes.searching import Budget
from ..choices.soups import Reestimate
from ..choices.tuning import Tuning, tuned_name
from ..predictions.predict import BATCH
from ..results.comparison import ADAPTED, ADAPTED_WORDS, Comparison, Cost, Kind
from ..results.intervals import Difference
from ..scores.metrics import Metric
from ..scores.singles import JUDGED
from .bench import common_metric
from .bodies import Task, TaskPool, adapt_bodies, lend_body, merge_bodies
from .bodymakers import (
    MERGED,
    SEQUENTIAL,
    Contestant,
    is_adapted,
    learning_of,
    named,
    needs_base,
)
from .costs import TaskCosts
from .facts import covers, non_finite, thread_fact
from .judging import Judging
from .lent import Judged, Lent
from .scoring import Ledger, Place, Scored
from .task_scores import ALL_TASKS, difference_phrase, mean_of, quotient, resamplers_of
from .trial import Entrant

INDIVIDUAL = "individual"
NORMALISED = "normalised"
"""Begins the name of a metric divided by the individual network's."""

Progress = Callable[[str, float], None]


def cross_task(
    pools: Iterable[TaskPool],
    *,
    counts: Sequence[int] = (),
    methods: Sequence[str | Method | Adamerging] = (MERGED,),
    private: Sequence[str] = (),
    metric: str | Metric | None = None,
    reestimate: Reestimate | None = None,
    search: Budget | None = None,
    seed: int = 0,
    title: str = "One body for several tasks",
    network: str = "",
    batch_size: int = BATCH,
    facts: Sequence[tuple[str, str]] = (),
    progress: Progress | None = None,
) -> Comparison:
    """Merge tasks' bodies, put each task's own head back, and judge each task on its own data.

    For each N the first N tasks are merged. The table has `individual`, each task's own network;
    every merge (the plain average is uniform-soup); `logits-ensemble`, the mean over the N bodies
    of what they give through the task's head; and each pool's controls. A row's `data` is the task,
    or `all-tasks` for the mean over the N of them. Beside the metric stands the normalised one,
    divided by the individual network's: per task, and as the mean over tasks of these quotients.

    Intervals are 95%: pools are resampled, then every task's test samples; tasks that are views of
    the same samples are resampled together. `differences` are of the means over tasks.

    Args:
        pools: one or more, of the same tasks; they are taken one by one.
        counts: the N; by default all tasks.
        methods: merge methods, `Adamerging` values, "uniform-soup", "logits-ensemble"; or
            "sequential", the body of the last of the N tasks with every task's own head.
        private: globs of tensors that stay each task's own beside its head, which is found.
        metric: what is judged by; by default accuracy, or auroc where a sample may have several
            classes.
        reestimate: re-estimates batch-norm statistics on the task's own training inputs; adds a row
            "...:bn" for every network that has any.
        search: tunes every merge method by the mean over tasks on the selection splits, each with
            as many trials.
        seed: of methods that draw at random.
        title: of the table.
        network: what it calls the networks.
        batch_size: samples of one forward pass.
        facts: further ones for a reader.
        progress: called as work is done.

    Raises:
        StockpotError: where pools, tasks and methods do not fit together, or what should be shared
            differs.

    Source: the cross-task table of arXiv 2411.09263; normalised accuracy as in arXiv 2212.04089.
    """
    wanted = named(methods)
    run: _Run | None = None
    for pool in pools:
        if run is None:
            run = _Run(
                pool=pool,
                counts=tuple(counts) or (len(pool.tasks),),
                methods=wanted,
                judging=Judging(
                    metric=_metric(pool.tasks, metric),
                    resamplers=dict(resamplers_of(pool.tasks)),
                    reestimate=reestimate,
                    seed=seed,
                    batch_size=batch_size,
                ),
                own=pool.own(private),
                tuning=None if search is None else Tuning(search),
                seed=seed,
                network=network,
                tell=progress or _silent,
            )
        run.add(pool)
    if run is None:
        raise StockpotError("There is no pool to compare: give one or more.")
    return run.finish(title, facts)


def _silent(_what: str, _done: float) -> None:
    pass


def _metric(tasks: Sequence[Task], wanted: str | Metric | None) -> Metric:
    found = common_metric(wanted, {one.name: one.splits for one in tasks})
    if found.value is None:
        raise FieldError(f"metric {found.name} runs networks itself; give one of predictions.")
    return found


@dataclass(slots=True, eq=False, kw_only=True)
class _Run:
    """All results so far; `pool` is the first of them, which says what the tasks are."""

    pool: TaskPool
    counts: tuple[int, ...]
    methods: Mapping[str, Contestant]
    judging: Judging
    own: frozenset[str]
    tuning: Tuning | None
    seed: int
    network: str
    tell: Progress
    seeds: list[int] = field(default_factory=list[int])
    learned: dict[str, str] = field(default_factory=dict[str, str])
    seconds: float = 0.0
    ledgers: dict[str, Ledger] = field(default_factory=dict[str, Ledger])

    def __post_init__(self) -> None:
        tasks = self.pool.tasks
        if len(set(self.counts)) < len(self.counts) or not (
            2 <= min(self.counts) <= max(self.counts) <= len(tasks)
        ):
            raise FieldError(
                f"counts must differ and lie in 2 to {len(tasks)}, the number of tasks; got "
                f"{list(self.counts)}."
            )
        for name, method in self.methods.items():
            least, most = method.needs.models if isinstance(method, Method) else (1, None)
            if min(self.counts) < least or (most is not None and max(self.counts) > most):
                raise MergeError(
                    f"{name} merges {least} to {most or 'any number of'} models; counts are "
                    f"{list(self.counts)}. Leave it out or change the counts."
                )
        self.ledgers = {one: Ledger(self.network, one) for one in (ALL_TASKS, *self._names())}

    def _names(self) -> list[str]:
        return [task.name for task in self.pool.tasks]

    def add(self, pool: TaskPool) -> None:
        """Everything of one pool."""
        if [task.name for task in pool.tasks] != self._names() or pool.seed in self.seeds:
            raise StockpotError("cross-task: pools must have the same tasks and different seeds.")
        for name, method in self.methods.items():
            if needs_base(method) and pool.base is None:
                raise MergeError(f"{name} needs a base, and the pools have none.")
        self.seeds.append(pool.seed)
        self.tell(f"pool {pool.seed}: {len(pool.tasks)} tasks", 0.0)
        own = {task.name: task.network for task in pool.tasks}
        fixed: dict[str, Mapping[str, Judged]] = {}
        fixed |= self._judged_singles(pool, own)
        for name, networks in pool.controls.items():
            fixed |= self.judging.judged(name, "control", pool.tasks, networks)
        lent = Lent(pool.tasks, self.own, fixed[INDIVIDUAL], self.judging.run)
        for done, n in enumerate(self.counts):
            self.tell(f"pool {pool.seed}: N = {n}", done / len(self.counts))
            place, tasks = Place(n, 0, pool.seed), pool.tasks[:n]
            for name, judged in [*fixed.items(), *self._merged(pool, tasks, lent)]:
                self._note(place, name, [judged[task.name] for task in tasks], fixed[INDIVIDUAL])

    def _merged(
        self, pool: TaskPool, tasks: Sequence[Task], lent: Lent
    ) -> Iterator[tuple[str, Mapping[str, Judged]]]:
        for name, method in self.methods.items():
            if name == SEQUENTIAL:
                last = {task.name: lend_body(task, tasks[-1], self.own) for task in tasks}
                yield from self.judging.judged(name, "control", tasks, last).items()
                continue
            if method is None:
                yield (
                    name,
                    {
                        task.name: self.judging.score(task, lent.ensemble(task, tasks))
                        for task in tasks
                    },
                )
                continue
            kind: Kind = ADAPTED if is_adapted(method) else "merge"
            if self.tuning is not None and isinstance(method, Method):
                method = self._tuned(self.tuning, name, method, pool, tasks)
            networks = self._networks(name, method, pool, tasks)
            yield from self.judging.judged(self._called(name), kind, tasks, networks).items()

    def _called(self, name: str) -> str:
        """What a method is called in the table: whether it was tuned too."""
        method = self.methods[name]
        if self.tuning is None or not isinstance(method, Method):
            return name
        return tuned_name(name, method, self.tuning.budget)

    def _tuned(
        self, tuning: Tuning, name: str, method: Method, pool: TaskPool, tasks: Sequence[Task]
    ) -> Method:
        """The method with the fields that are best on the selection splits, the mean over tasks."""

        def score(one: Method) -> float:
            networks = merge_bodies(tasks, one, self.own, base=pool.base, seed=self.seed)
            found = [self.judging.selection(task, networks[task.name], name) for task in tasks]
            return self.judging.metric.sign * math.fsum(found) / len(found)

        place = {"seed": pool.seed, "network": self.network, "data": ALL_TASKS}
        return tuning.tune(
            name, method, score, count=len(tasks), sign=self.judging.metric.sign, place=place
        )

    def _networks(
        self, name: str, method: Method | Adamerging, pool: TaskPool, tasks: Sequence[Task]
    ) -> Mapping[str, nn.Module]:
        if isinstance(method, Method):
            return merge_bodies(tasks, method, self.own, base=pool.base, seed=self.seed)
        assert pool.base is not None
        what = f"pool {pool.seed}: N = {len(tasks)}, {name}"
        begun = self.counts.index(len(tasks)) / len(self.counts)
        networks, found = adapt_bodies(
            tasks,
            method,
            self.own,
            base=pool.base,
            seed=self.seed,
            progress=lambda step, _done: self.tell(f"{what}: {step}", begun),
        )
        where = f"pool {pool.seed}, N = {len(tasks)}"
        self.learned[name] = f"{learning_of(method, found, tasks)} ({where})"
        return networks

    def _judged_singles(
        self, pool: TaskPool, own: Mapping[str, nn.Module]
    ) -> Mapping[str, Mapping[str, Judged]]:
        """Each task's own network; the first pool's are timed."""
        run, began = sum(self.judging.tally.samples.values()), perf_counter()
        found = self.judging.judged(INDIVIDUAL, "single", pool.tasks, own)
        run = sum(self.judging.tally.samples.values()) - run
        self.seconds = self.seconds or 1000 * (perf_counter() - began) / run
        return found

    def _note(
        self, place: Place, name: str, judged: Sequence[Judged], own: Mapping[str, Judged]
    ) -> None:
        """A row for each task, and those of the mean over them."""
        each: list[Scored] = []
        for task, one in zip(self.pool.tasks, judged, strict=False):
            scores = dict(one.scored.scores)
            if self.judging.metric.larger:
                for split in JUDGED:
                    key, of_own = (split, self.judging.metric.name), own[task.name].scored.scores
                    scores[split, f"{NORMALISED} {key[1]}"] = quotient(scores[key], of_own[key])
            each.append(Scored(scores, one.scored.non_finite))
            self.ledgers[task.name].add(place, _entrant(name, judged[0]), each[-1])
        self.ledgers[ALL_TASKS].add(place, _entrant(name, judged[0]), mean_of(each))

    def finish(self, title: str, facts: Sequence[tuple[str, str]]) -> Comparison:
        """Sum up."""
        self.tell("done", 1.0)
        rows = tuple(row for one in self.ledgers.values() for row in (*one.rows, *one.summaries()))
        differences = tuple(one for n in self.counts for one in self._differences(n))
        most = max(self.counts)
        names = self._names()
        return Comparison(
            title=title,
            rows=rows,
            differences=differences,
            conclusion=self._conclusion(most, [one for one in differences if one.n == most]),
            facts=(
                ("network", self.network),
                ("tasks", "; ".join(task.sizes for task in self.pool.tasks)),
                ("N", f"the first N of {', '.join(names)} are merged and averaged over"),
                ("each task's own", ", ".join(sorted(self.own)) or "the head alone"),
                *self.learned.items(),
                *facts,
                ("pools", f"{len(self.seeds)}, seeds {', '.join(map(str, self.seeds))}"),
                ("intervals", f"95%. {covers(len(self.seeds))}"),
                ("samples run through networks", f"{sum(self.judging.tally.samples.values()):,}"),
                *(self.tuning.facts if self.tuning else ()),
                *non_finite(rows),
                thread_fact(),
            ),
            costs=tuple(self._costs()),
            attempts=tuple(self.tuning.attempts) if self.tuning else (),
        )

    def _costs(self) -> Iterator[Cost]:
        """Of serving one task, or the first N, each sample through its own task's head."""
        priced = TaskCosts(self.pool.tasks, self.own, self.seconds)
        shown = {(row.n, row.method): row.forwards for row in self.ledgers[ALL_TASKS].rows}
        for (n, method), forwards in shown.items():
            apart = method.removesuffix(":bn") == INDIVIDUAL
            cost = priced.of(
                method, n, range(n), bodies=n if apart else forwards, forwards=forwards
            )
            yield replace(cost, network=self.network, data=ALL_TASKS)
            for index, name in enumerate(self._names()[:n]):
                cost = priced.of(method, n, [index], bodies=forwards, forwards=forwards)
                yield replace(cost, network=self.network, data=name)

    def _differences(self, n: int) -> Iterator[Difference]:
        """Of each contender less the individual networks, and of merges less the joint one."""
        ledger, key = self.ledgers[ALL_TASKS], ("test", self.judging.metric.name)
        there = ledger.methods(n)
        controls = [name for name in self.pool.controls if name != "base"]
        controls += [name for name in self.methods if name == SEQUENTIAL]
        pairs = [(a, INDIVIDUAL) for a in there if a != INDIVIDUAL]
        mine = set(map(self._called, self.methods))
        theirs = [a for a in there if a.removesuffix(":bn") in mine]
        pairs += [(a, b) for b in controls for a in theirs if a.removesuffix(":bn") != b]
        for a, b in pairs:
            gap = ledger.estimate(n, a, key).minus(ledger.estimate(n, b, key))
            yield Difference(a, b, gap.interval(), n)

    def _conclusion(self, n: int, differences: Sequence[Difference]) -> str:
        """What the merge that the selection split prefers is worth on the test split.

        What was adapted on inputs of the test split is no choice of the selection split.
        """
        metric, ledger = self.judging.metric, self.ledgers[ALL_TASKS]
        key = ("selection", metric.name)
        methods = {self._called(name): one for name, one in self.methods.items()}
        merges = [
            name
            for name in ledger.methods(n)
            if (method := methods.get(name.removesuffix(":bn"))) and not is_adapted(method)
        ]
        if not merges:
            return ""
        best = max(merges, key=lambda name: metric.sign * ledger.estimate(n, name, key).value)
        said = [difference_phrase(one, metric) for one in differences if one.a == best]
        return (
            f"Of the merges, the selection split prefers {best}. Its mean {metric.name} over "
            f"{n} tasks on the test split is {', and '.join(said)}.{self._adapted()}"
        )

    def _adapted(self) -> str:
        names = [name for name, method in self.methods.items() if is_adapted(method)]
        return f" No choice there was {', '.join(names)}: {ADAPTED_WORDS}." if names else ""


def _entrant(name: str, judged: Judged) -> Entrant:
    return Entrant(method=name, kind=judged.kind, forwards=judged.forwards)
