"""Singles, soups and ensembles of pools of networks on the same data, in one table."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import repeat

from ...core import Method
from ...data import Transform
from ...errors import StockpotError
from ...recipes.reading.searching import Budget
from ...values.result import Progress
from ..choices.learned_soup import Learning
from ..choices.soups import Reestimate
from ..choices.tuning import Tuning
from ..choices.verdict import judge, require_margin
from ..predictions.ingredients import Ingredients
from ..predictions.predict import BATCH
from ..predictions.views import JUDGED, TEST, Views, views_of
from ..results.comparison import Comparison, Cost, Decision
from ..results.intervals import Difference
from ..scores.metrics import Metric
from ..scores.singles import run_singles
from .columns import WITHOUT_TRAINING, Column, beside_references, find_columns
from .contest import Contest, Resamplers, among_pools, choose_metric
from .costs import Prices, TaskPrice, price_of, threads_for
from .ledger import Ledger, RowPlace
from .outcomes import KEPT, Confusions, differences_at, options_at
from .plan import SubsetPlan, refuse_impossible
from .provenance import covers, pool_provenance
from .subset import ColumnOptions, Distil, Subset, scores_of_singles

MARGIN = 0.005


def compare_pools(
    pools: Sequence[Ingredients],
    *,
    counts: Sequence[int] = (),
    subsets: int = 3,
    methods: Sequence[str | Method] = WITHOUT_TRAINING,
    metric: str | Metric | Callable[..., object] | None = None,
    also: Sequence[Metric] = (),
    margin: float = MARGIN,
    views: Mapping[str, Transform] | None = None,
    seed: int = 0,
    reestimate: Reestimate | None = None,
    distil: Distil | None = None,
    learning: Learning | None = None,
    search: Budget | None = None,
    title: str = "Soup, ensemble, or keep the best?",
    network: str = "",
    batch_size: int = BATCH,
    progress: Progress | None = None,
) -> Comparison:
    """Compare what can be made of N of a pool's networks, for each N, over subsets and pools.

    Every single network is run over each split and view once; ensembles are computed from that,
    and each soup is run once. All choices are made on the selection split. Intervals are 95% and
    cover pools and the test samples that they share (`results.estimator`); subsets of a pool are
    averaged and never counted as independent.

    Args:
        pools: one or more, of K networks each.
        counts: the N; by default 2 to K. N = K is one subset a pool.
        subsets: how many subsets of each N < K are drawn; all, where there are no more.
        methods: names of columns (`columns.COLUMNS`) or merge methods, and method values; the best
            single network, the mean one and the logits ensemble are always beside them.
        metric: what is chosen and judged by, built in, package.module:function or a function; by
            default accuracy, or auroc where a sample may have several classes.
        also: metrics that are reported beside it, accuracy or auroc, nll and ece.
        margin: a difference of the metric that does not matter.
        views: of the test split, by their names in the table: domains, corruptions, any transform.
            Rows have them as `part`; they play no role in any choice or in the verdict.
        seed: of subsets, and of methods that draw at random.
        reestimate: re-estimates batch-norm statistics; adds a row "...:bn" to the best single and
            to each soup of networks that have any.
        distil: trains a student, for "distilled".
        learning: how "learned-soup" learns.
        search: tunes every merge method on the selection split, each with as many trials.
        title: of the table.
        network: what it calls the networks.
        batch_size: samples of one forward pass.
        progress: called as work is done.

    Raises:
        StockpotError: where pools do not fit together, a method cannot be had of them, or a network
            cannot be run; before anything is run, where that can be known.
    """
    if not pools:
        raise StockpotError("There is no pool to compare: give one or more.")
    require_margin(margin)
    columns = find_columns(beside_references(methods))
    chosen = choose_metric(metric, [pools[0].splits])
    smallest = min(len(pool) for pool in pools)
    plan = SubsetPlan(
        pools, tuple(counts) or tuple(range(min(2, smallest), smallest + 1)), subsets, seed
    )
    refuse_impossible(plan, columns, chosen, distil)
    price = price_of(pools[0].build(), pools[0].splits.test)
    run = _Run(
        plan=plan,
        price=price,
        columns={name: column for name, (column, _) in columns.items()},
        contest=Contest(
            metric=chosen,
            ledger=Ledger(network, [pools[0].splits.test.name]),
            also=tuple(also),
            reestimate=reestimate,
            seed=seed,
            batch_size=batch_size,
        ),
        options=ColumnOptions(
            distil=distil,
            learning=learning or Learning(),
            tuning=None if search is None else Tuning(search),
        ),
        views=_views(pools, views or {}),
        # One task, whose splits are never compared with each other: they may share a seed.
        resamplers=Resamplers(repeat(0), among_pools([pool.splits for pool in pools])),
        tell=progress or _silent,
    )
    with threads_for(price.network, batch_size):
        for pool in pools:
            run.pool(pool)
        return run.finish(title, margin)


def _views(pools: Sequence[Ingredients], views: Mapping[str, Transform]) -> Mapping[int, Views]:
    """Of each pool by its seed; pools that share splits share them."""
    made = {id(pool.splits): pool.splits for pool in pools}
    found = {number: views_of(splits, views) for number, splits in made.items()}
    return {pool.seed: found[id(pool.splits)] for pool in pools}


def _silent(_what: str, _done: float) -> None:
    pass


@dataclass(slots=True, eq=False, kw_only=True)
class _Run:
    plan: SubsetPlan
    price: TaskPrice
    columns: Mapping[str, Column]
    contest: Contest
    options: ColumnOptions
    views: Mapping[int, Views]
    tell: Progress
    resamplers: Resamplers
    confusions: Confusions = field(default_factory=Confusions)
    decisions: list[Decision] = field(default_factory=list[Decision])
    seconds: list[float] = field(default_factory=list[float])
    done: int = 0

    @property
    def labels(self) -> dict[str, str]:
        return {"network": self.contest.ledger.network, "data": self.contest.ledger.whole}

    def pool(self, pool: Ingredients) -> None:
        """Run the singles of one pool once, then every subset of it."""
        what, contest = f"pool {pool.seed}", self.contest
        self.tell(f"{what}: {len(pool)} networks", self.done / self.plan.work())
        exam = self.resamplers.exam(pool.splits, self.views[pool.seed])
        singles = run_singles(
            pool,
            splits=(*JUDGED, "train") if "distilled" in self.columns else JUDGED,
            views=exam.views,
            metrics=contest.metrics(pool.splits),
            batch_size=contest.batch_size,
            tally=contest.tally,
        )
        self.seconds.append(singles.seconds)
        single_scores = scores_of_singles(contest, exam, singles)
        self.done += len(pool)
        for n, number, members in self.plan.draws(pool):
            self.tell(f"{what}: N = {n}, subset {number + 1}", self.done / self.plan.work())
            subset = Subset(
                contest=contest,
                exam=exam,
                singles=singles,
                single_scores=single_scores,
                members=members,
                options=self.options,
                number=number,
            )
            self.enter(subset, RowPlace(n, number, pool.seed))
            self.done += n

    def enter(self, subset: Subset, place: RowPlace) -> None:
        """Every column of N ingredients, one entrant in memory at a time."""
        for column in self.columns.values():
            for entrant in column(subset):
                self.contest.ledger.enter(place, [entrant])
                if place.n == self.plan.most:
                    self.confusions.add(entrant)
        if any(name.startswith("greedy-") for name in self.columns):
            names = subset.singles.pool.names
            self.decisions += [
                Decision(
                    seed=place.seed,
                    subset=place.subset,
                    n=place.n,
                    step=step,
                    candidate=names[one.candidate],
                    score=self.contest.metric.sign * one.score,
                    accepted=one.accepted,
                    **self.labels,
                )
                for step, one in enumerate(subset.greedy.steps)
            ]

    def finish(self, title: str, margin: float) -> Comparison:
        """Sum up."""
        plan, metric, ledger = self.plan, self.contest.metric, self.contest.ledger
        options, references = options_at(ledger, plan.most, metric)
        said = covers(len(plan.pools))
        verdict = judge(options, metric, margin, covers=said, references=references)
        test = plan.pools[0].splits.test
        views = self.views[plan.pools[0].seed]
        rows, tuning = ledger.rows(), self.options.tuning
        self.tell("done", 1.0)
        return Comparison(
            title=title,
            rows=rows,
            differences=tuple(self._differences(views)),
            conclusion=verdict.sentence,
            costs=tuple(self._costs()),
            decisions=tuple(self.decisions),
            confusion=self.confusions.of(verdict.preferred, test),
            verdict=verdict,
            facts=(
                *pool_provenance(plan, self.contest, rows, views),
                *(tuning.facts if tuning else ()),
            ),
            attempts=tuple(
                replace(one, **self.labels) for one in (tuning.attempts if tuning else ())
            ),
        )

    def _differences(self, views: Views) -> Iterator[Difference]:
        """Of all methods at the largest N on the whole test split, else of those always there."""
        ledger, metric = self.contest.ledger, self.contest.metric
        for n in self.plan.counts:
            for judged in (TEST, *views):
                whole = judged == TEST and n == self.plan.most
                among = dict.fromkeys((*KEPT, *(ledger.methods(n) if whole else ())))
                yield from differences_at(ledger, n, metric, judged, among=tuple(among))

    def _costs(self) -> Iterator[Cost]:
        ledger = self.contest.ledger
        prices = Prices([self.price], sum(self.seconds) / len(self.seconds))
        for n in self.plan.counts:
            for method in ledger.methods(n):
                networks = ledger.forwards(n, method)
                cost = prices.cost(method, n, [0], bodies=networks, forwards=networks)
                yield replace(cost, **self.labels)
