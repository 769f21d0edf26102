"""Networks of different tasks merged into one body, each task keeping its own head, and judged."""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain, count
from time import perf_counter

from torch import nn

from ...core import Method
from ...errors import FieldError, MergeError, StockpotError
from ...experiments.adaptation import Adamerging
from ...recipes.reading.searching import Budget
from ...values.result import Progress
from ..choices.soups import Reestimate
from ..choices.tuning import Tuning, tuned_name
from ..predictions.predict import BATCH
from ..predictions.views import JUDGED
from ..results.comparison import (
    ADAPTED,
    ADAPTED_WORDS,
    ALL_TASKS,
    INDIVIDUAL,
    NORMALISED,
    Comparison,
    Cost,
    Kind,
)
from ..results.intervals import Difference
from ..scores.metrics import Metric
from ..scores.scores import quotient
from .bodies import TaskNetwork, TaskPool, adapt_bodies, merge_bodies, with_body_of
from .body_methods import (
    MERGED,
    SEQUENTIAL,
    BodyMethod,
    adaptation_fact,
    body_methods,
    is_adapted,
    needs_base,
)
from .contest import Contest, Exam, Resamplers, choose_metric
from .costs import Prices, price_of
from .exchange import Entrants, Exchange
from .ledger import Entrant, Ledger, RowPlace
from .plan import refuse_counts
from .provenance import contest_provenance, seeds_used


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

    Intervals are 95% and cover pools and every task's test samples, which pools share; tasks that
    are views of the same samples are resampled together. `differences` are of the means over tasks.

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
    wanted = body_methods(methods)
    run: _Run | None = None
    for pool in pools:
        if run is None:
            names = [task.name for task in pool.tasks]
            run = _Run(
                pool=pool,
                counts=tuple(counts) or (len(names),),
                methods=wanted,
                contest=Contest(
                    metric=_metric(pool.tasks, metric),
                    ledger=Ledger(network, names),
                    reestimate=reestimate,
                    seed=seed,
                    batch_size=batch_size,
                ),
                own=pool.own(private),
                tuning=None if search is None else Tuning(search),
                tell=progress or _silent,
            )
        run.add(pool)
    if run is None:
        raise StockpotError("There is no pool to compare: give one or more.")
    return run.finish(title, facts)


def _silent(_what: str, _done: float) -> None:
    pass


def _metric(tasks: Sequence[TaskNetwork], wanted: str | Metric | None) -> Metric:
    found = choose_metric(wanted, [task.splits for task in tasks])
    if found.value is None:
        raise FieldError(f"metric {found.name} runs networks itself; give one of predictions.")
    return found


@dataclass(slots=True, eq=False, kw_only=True)
class _Run:
    """All results so far; `pool` is the first of them, which says what the tasks are."""

    pool: TaskPool
    counts: tuple[int, ...]
    methods: Mapping[str, BodyMethod]
    contest: Contest
    own: frozenset[str]
    tuning: Tuning | None
    tell: Progress
    exams: Mapping[str, Exam] = field(default_factory=dict[str, Exam])
    seeds: list[int] = field(default_factory=list[int])
    learned: dict[str, str] = field(default_factory=dict[str, str])
    seconds: float = 0.0

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
            refuse_counts(name, method if isinstance(method, Method) else None, self.counts)
        resamplers = Resamplers(count())
        self.exams = {task.name: resamplers.exam(task.splits) for task in tasks}

    def add(self, pool: TaskPool) -> None:
        """Everything of one pool."""
        names = [task.name for task in pool.tasks]
        if names != list(self.exams) or pool.seed in self.seeds:
            raise StockpotError("cross-task: pools must have the same tasks and different seeds.")
        for name, method in self.methods.items():
            if needs_base(method) and pool.base is None:
                raise MergeError(f"{name} needs a base, and the pools have none.")
        self.seeds.append(pool.seed)
        self.tell(f"pool {pool.seed}: {len(pool.tasks)} tasks", 0.0)
        at_every_n = self._individuals(pool)
        individual = at_every_n[INDIVIDUAL]
        for name, networks in pool.controls.items():
            at_every_n |= self._entered(name, "control", pool.tasks, networks)
        exchange = Exchange(self.contest, self.exams, self.own, individual)
        for done, n in enumerate(self.counts):
            self.tell(f"pool {pool.seed}: N = {n}", done / len(self.counts))
            place, tasks = RowPlace(n, 0, pool.seed), pool.tasks[:n]
            for entrants in chain(at_every_n.values(), self._merged(pool, tasks, exchange)):
                self._note(place, [entrants[task.name] for task in tasks], individual)

    def _individuals(self, pool: TaskPool) -> dict[str, Entrants]:
        """Each task's own network; the first pool's are timed."""
        samples = self.contest.tally.samples
        before, began = sum(samples.values()), perf_counter()
        own = {task.name: task.network for task in pool.tasks}
        found = self._entered(INDIVIDUAL, "single", pool.tasks, own)
        run = sum(samples.values()) - before
        self.seconds = self.seconds or 1000 * (perf_counter() - began) / run
        return found

    def _merged(
        self, pool: TaskPool, tasks: Sequence[TaskNetwork], exchange: Exchange
    ) -> Iterator[Entrants]:
        for name, method in self.methods.items():
            if name == SEQUENTIAL:
                last = {task.name: with_body_of(task, tasks[-1], self.own) for task in tasks}
                yield from self._entered(name, "control", tasks, last).values()
            elif method is None:
                yield {task.name: exchange.ensemble(name, task, tasks) for task in tasks}
            else:
                kind: Kind = ADAPTED if is_adapted(method) else "merge"
                networks = self._networks(name, method, pool, tasks)
                yield from self._entered(self._called(name), kind, tasks, networks).values()

    def _entered(
        self, name: str, kind: Kind, tasks: Sequence[TaskNetwork], networks: Mapping[str, nn.Module]
    ) -> dict[str, Entrants]:
        """A network for each task; and a second one with statistics re-estimated where it may."""
        contest, exams = self.contest, self.exams
        found: dict[str, dict[str, Entrant]] = {
            name: {
                task.name: contest.network_entrant(
                    exams[task.name], name, kind, networks[task.name]
                )
                for task in tasks
            }
        }
        for task in tasks:
            mended = contest.mended(exams[task.name], networks[task.name])
            if mended is not None:
                entrant = contest.network_entrant(exams[task.name], f"{name}:bn", kind, mended)
                found.setdefault(entrant.method, {})[task.name] = entrant
        return {**found}

    def _called(self, name: str) -> str:
        """What a method is called in the table: whether it was tuned too."""
        method = self.methods[name]
        if self.tuning is None or not isinstance(method, Method):
            return name
        return tuned_name(name, method, self.tuning.budget)

    def _networks(
        self, name: str, method: Method | Adamerging, pool: TaskPool, tasks: Sequence[TaskNetwork]
    ) -> Mapping[str, nn.Module]:
        if isinstance(method, Method):
            if self.tuning is not None:
                method = self._tuned(self.tuning, name, method, pool, tasks)
            return merge_bodies(tasks, method, self.own, base=pool.base, seed=self.contest.seed)
        assert pool.base is not None
        what = f"pool {pool.seed}: N = {len(tasks)}, {name}"
        begun = self.counts.index(len(tasks)) / len(self.counts)
        networks, found = adapt_bodies(
            tasks,
            method,
            self.own,
            base=pool.base,
            seed=self.contest.seed,
            progress=lambda step, _done: self.tell(f"{what}: {step}", begun),
        )
        where = f"pool {pool.seed}, N = {len(tasks)}"
        self.learned[name] = f"{adaptation_fact(method, found, tasks)} ({where})"
        return networks

    def _tuned(
        self,
        tuning: Tuning,
        name: str,
        method: Method,
        pool: TaskPool,
        tasks: Sequence[TaskNetwork],
    ) -> Method:
        """The method with the fields that are best on the selection splits, the mean over tasks."""
        contest, seed = self.contest, self.contest.seed

        def score(candidate: Method) -> float:
            networks = merge_bodies(tasks, candidate, self.own, base=pool.base, seed=seed)
            scores: list[float] = []
            for task in tasks:
                exam, network = self.exams[task.name], networks[task.name]
                mended = contest.mended(exam, network)
                scored = network if mended is None else mended
                scores.append(contest.selection_score(exam, scored, f"{name} candidate"))
            return math.fsum(scores) / len(scores)

        ledger = contest.ledger
        place = {"seed": pool.seed, "network": ledger.network, "data": ledger.whole}
        sign = contest.metric.sign
        return tuning.tune(name, method, score, count=len(tasks), sign=sign, place=place)

    def _note(self, place: RowPlace, entrants: Sequence[Entrant], individual: Entrants) -> None:
        """A row for each task, and those of the mean over them, with quotients beside them."""
        noted = list(entrants)
        if self.contest.metric.larger:
            noted = [
                self._with_quotients(entrant, individual[task.name])
                for task, entrant in zip(self.pool.tasks, entrants, strict=False)
            ]
        self.contest.ledger.enter(place, noted)

    def _with_quotients(self, entrant: Entrant, individual: Entrant) -> Entrant:
        """Beside the metric the same divided by the individual network's."""
        estimates, name = dict(entrant.scores.estimates), self.contest.metric.name
        for split in JUDGED:
            own = individual.scores.estimates[split, name]
            quotients = quotient(estimates[split, name], own)
            estimates[split, f"{NORMALISED} {name}"] = quotients
        return replace(entrant, scores=replace(entrant.scores, estimates=estimates))

    def finish(self, title: str, facts: Sequence[tuple[str, str]]) -> Comparison:
        """Sum up."""
        self.tell("done", 1.0)
        contest, tasks = self.contest, self.pool.tasks
        rows, most = contest.ledger.rows(), max(self.counts)
        differences = tuple(one for n in self.counts for one in self._differences(n))
        return Comparison(
            title=title,
            rows=rows,
            differences=differences,
            conclusion=self._conclusion(most, [one for one in differences if one.n == most]),
            facts=(
                ("network", contest.ledger.network),
                ("tasks", "; ".join(task.sizes for task in tasks)),
                ("N", f"the first N of {', '.join(self.exams)} are merged and averaged over"),
                ("each task's own", ", ".join(sorted(self.own)) or "the head alone"),
                *self.learned.items(),
                *facts,
                seeds_used(self.seeds),
                *contest_provenance(
                    contest,
                    rows,
                    len(self.seeds),
                    further=self.tuning.facts if self.tuning else (),
                ),
            ),
            costs=tuple(self._costs()),
            attempts=tuple(self.tuning.attempts) if self.tuning else (),
        )

    def _costs(self) -> Iterator[Cost]:
        """Of serving one task, or the first N, each sample through its own task's head."""
        ledger = self.contest.ledger
        tasks = [price_of(task.network, task.splits.test, self.own) for task in self.pool.tasks]
        prices = Prices(tasks, self.seconds)
        for n in self.counts:
            for method in ledger.methods(n):
                forwards = round(ledger.forwards(n, method))
                apart = method.removesuffix(":bn") == INDIVIDUAL
                served = {ALL_TASKS: (range(n), n if apart else forwards)}
                served |= {name: ([i], forwards) for i, name in enumerate(list(self.exams)[:n])}
                for data, (which, bodies) in served.items():
                    cost = prices.cost(method, n, which, bodies=bodies, forwards=forwards)
                    yield replace(cost, network=ledger.network, data=data)

    def _differences(self, n: int) -> Sequence[Difference]:
        """Of each contender less the individual networks, and of merges less the joint one."""
        ledger, metric = self.contest.ledger, self.contest.metric.name
        there = ledger.methods(n)
        controls = [name for name in self.pool.controls if name != "base"]
        controls += [name for name in self.methods if name == SEQUENTIAL]
        pairs = [(a, INDIVIDUAL) for a in there if a != INDIVIDUAL]
        mine = set(map(self._called, self.methods))
        theirs = [a for a in there if a.removesuffix(":bn") in mine]
        pairs += [(a, b) for b in controls for a in theirs if a.removesuffix(":bn") != b]
        return ledger.differences(n, pairs, metric)

    def _conclusion(self, n: int, differences: Sequence[Difference]) -> str:
        """What the merge that the selection split prefers is worth on the test split.

        What was adapted on inputs of the test split is no choice of the selection split.
        """
        metric, ledger = self.contest.metric, self.contest.ledger
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
        said = [one.phrase(metric.name) for one in differences if one.a == best]
        return (
            f"Of the merges, the selection split prefers {best}. Its mean {metric.name} over "
            f"{n} tasks on the test split is {', and '.join(said)}.{self._adapted()}"
        )

    def _adapted(self) -> str:
        names = [name for name, method in self.methods.items() if is_adapted(method)]
        return f" No choice there was {', '.join(names)}: {ADAPTED_WORDS}." if names else ""
