"""Singles, soups and ensembles of pools of networks on the same data, in one table."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import torch

from ...core import Method
from ...data import Transform
from ...errors import StockpotError
from ...networks import NetworkCost
from ...recipes.searching import Budget
from ..choices.learned_soup import Learning
from ..choices.soups import Reestimate
from ..choices.tuning import Tuning
from ..choices.verdict import judge, require_margin
from ..predictions.ingredients import Ingredients
from ..predictions.predict import BATCH
from ..predictions.views import JUDGED, TEST, Views, views_of
from ..results.comparison import Comparison, Cost, Decision
from ..scores.bootstrap import Resampler
from ..scores.custom import metric_called
from ..scores.metrics import METRICS, Metric
from ..scores.singles import Singles, run_singles
from .columns import WITHOUT_TRAINING, Column, find_columns
from .costs import cost_of_method, cost_of_one, threads_for
from .facts import covers, facts_of
from .plan import Plan, refuse_impossible
from .scoring import Judge, Ledger, Place
from .summing import Confusions, differences_at, options_at
from .trial import Distil, Setting, Trial

Progress = Callable[[str, float], None]
"""Called with what is being done and the fraction of the whole that is behind."""

MARGIN = 0.005


def compare_pools(
    pools: Sequence[Ingredients],
    *,
    counts: Sequence[int] = (),
    subsets: int = 3,
    methods: Sequence[str | Method] = WITHOUT_TRAINING,
    metric: str | Metric | None = None,
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
    and each soup is run once. All choices are made on the selection split. Intervals are 95%: pools
    are resampled, then test samples; subsets of a pool are averaged and never counted as
    independent.

    Args:
        pools: one or more, of K networks each.
        counts: the N; by default 2 to K. N = K is one trial a pool.
        subsets: how many subsets of each N < K are drawn; all, where there are no more.
        methods: names of columns (`columns.COLUMNS`) or merge methods, and method values.
        metric: what is chosen and judged by, built in or package.module:function; by default
            accuracy, or auroc where a sample may have several classes.
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
    columns = find_columns(methods)
    chosen, metrics = _metrics(pools[0], metric, also)
    setting = Setting(
        metric=chosen,
        metrics=metrics,
        reestimate=reestimate,
        distil=distil,
        learning=learning or Learning(),
        seed=seed,
        batch_size=batch_size,
        tuning=None if search is None else Tuning(search),
    )
    smallest = min(len(pool) for pool in pools)
    plan = Plan(pools, tuple(counts) or tuple(range(min(2, smallest), smallest + 1)), subsets, seed)
    refuse_impossible(plan, columns, setting)
    data = pools[0].splits.test.name
    run = _Run(
        plan=plan,
        cost=cost_of_one(pools[0]),
        columns={name: column for name, (column, _) in columns.items()},
        setting=setting,
        ledger=Ledger(network, data),
        labels={"network": network, "data": data},
        views=_views(pools, views or {}),
        tell=progress or _silent,
    )
    with threads_for(run.cost, batch_size):
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


def _metrics(
    pool: Ingredients, metric: str | Metric | None, also: Sequence[Metric]
) -> tuple[Metric, tuple[Metric, ...]]:
    """What is chosen by, and all that is reported, each once."""
    usual = ("auroc", "accuracy") if pool.splits.test.is_multilabel else ("accuracy",)
    chosen = metric if isinstance(metric, Metric) else metric_called(metric or usual[0])
    reported = (chosen, *(METRICS[name] for name in (*usual, "nll", "ece")), *also)
    return chosen, tuple({one.name: one for one in reported}.values())


def _resamplers(singles: Singles) -> dict[str, Resampler]:
    """One for each split and view; views of all the test samples are resampled as these are."""
    found = {split: Resampler(singles.data(split).originals) for split in JUDGED}
    test_N = singles.data(TEST).originals
    for key, view in singles.views.items():
        same = torch.equal(view.data.originals, test_N)
        found[key] = found[TEST] if same else Resampler(view.data.originals)
    return found


@dataclass(slots=True, eq=False, kw_only=True)
class _Run:
    plan: Plan
    cost: NetworkCost
    columns: Mapping[str, Column]
    setting: Setting
    ledger: Ledger
    labels: dict[str, str]
    views: Mapping[int, Views]
    tell: Progress
    confusions: Confusions = field(default_factory=Confusions)
    decisions: list[Decision] = field(default_factory=list[Decision])
    seconds: list[float] = field(default_factory=list[float])
    done: int = 0

    def pool(self, pool: Ingredients) -> None:
        """Run the singles of one pool once, then every trial of it."""
        what = f"pool {pool.seed}"
        self.tell(f"{what}: {len(pool)} networks", self.done / self.plan.work())
        singles = run_singles(
            pool,
            splits=(*JUDGED, "train") if "distilled" in self.columns else JUDGED,
            views=self.views[pool.seed],
            metrics=self.setting.metrics,
            batch_size=self.setting.batch_size,
            tally=self.setting.tally,
        )
        self.seconds.append(singles.seconds)
        judged = Judge(singles, self.setting.metrics, _resamplers(singles))
        self.done += len(pool)
        for n, subset, members in self.plan.trials(pool):
            self.tell(f"{what}: N = {n}, subset {subset + 1}", self.done / self.plan.work())
            trial = Trial(singles=singles, members=members, setting=self.setting, subset=subset)
            self.trial(trial, judged, Place(n, subset, pool.seed))
            self.done += n

    def trial(self, trial: Trial, judged: Judge, place: Place) -> None:
        """Every column of N ingredients, one entrant in memory at a time."""
        for column in self.columns.values():
            for entrant in column(trial):
                self.ledger.add(place, entrant, judged.score(entrant))
                if place.n == self.plan.most:
                    self.confusions.add(entrant, trial.singles)
        if any(name.startswith("greedy-") for name in self.columns):
            names = trial.singles.pool.names
            self.decisions += [
                Decision(
                    seed=place.seed,
                    subset=place.subset,
                    n=place.n,
                    step=step,
                    candidate=names[one.candidate],
                    score=self.setting.metric.sign * one.score,
                    accepted=one.accepted,
                    **self.labels,
                )
                for step, one in enumerate(trial.greedy.steps)
            ]

    def finish(self, title: str, margin: float) -> Comparison:
        """Sum up."""
        plan, ledger, metric = self.plan, self.ledger, self.setting.metric
        options = options_at(ledger, plan.most, metric)
        verdict = judge(options, metric, margin, covers=covers(len(plan.pools)))
        preferred = next((one.method for one in options if one.choice == verdict.preferred), "")
        test = plan.pools[0].splits.test
        views = self.views[plan.pools[0].seed]
        rows = (*ledger.rows, *ledger.summaries())
        tuning = self.setting.tuning
        tuned = () if tuning is None else tuning.facts
        found = () if tuning is None else tuning.attempts
        attempts = tuple(replace(one, **self.labels) for one in found)
        self.tell("done", 1.0)
        return Comparison(
            title=title,
            rows=rows,
            differences=tuple(
                one
                for n in plan.counts
                for judged in (TEST, *views)
                for one in differences_at(ledger, n, metric, judged)
            ),
            conclusion=verdict.sentence,
            costs=self._costs(),
            decisions=tuple(self.decisions),
            confusion=self.confusions.of(preferred, test),
            verdict=verdict,
            facts=(*facts_of(plan, self.setting.tally, rows, self.labels, views), *tuned),
            attempts=attempts,
        )

    def _costs(self) -> tuple[Cost, ...]:
        seconds = sum(self.seconds) / len(self.seconds)
        return tuple(
            replace(
                cost_of_method(self.cost, seconds, method, n, self.ledger.networks(n, method)),
                **self.labels,
            )
            for n in self.plan.counts
            for method in self.ledger.methods(n)
        )
