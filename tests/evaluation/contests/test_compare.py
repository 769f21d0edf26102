import csv
import io
import json
import math

import pytest
import torch
from torch import nn

from stockpot.errors import FieldError, MergeError, StockpotError
from stockpot.evaluation import compare_pools, metric_from, predict
from stockpot.evaluation.contests import costs
from stockpot.evaluation.contests.columns import COLUMNS
from stockpot.evaluation.predictions.predict import Tally
from stockpot.evaluation.scores.singles import run_singles
from stockpot.methods import TaskArithmetic, Ties
from stockpot.networks import Network

from ..making import (
    SHAPE,
    counted,
    few_digits,
    fitted,
    mlp,
    noisy,
    pool_of,
    several_splits,
    trained_pool,
)

REFERENCES = {"single-mean", "single-best", "logits-ensemble"}
FREE = [name for name in COLUMNS if name not in ("distilled",)]


def student(start, data, targets, seed):
    """Fits a student to soft targets, as the training room does."""
    optimiser = torch.optim.Adam(start.parameters(), lr=0.01)
    for _ in range(5):
        loss = nn.functional.cross_entropy(start(data.images), targets)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return start.eval()


@pytest.fixture(scope="module")
def splits():
    return few_digits()


@pytest.fixture(scope="module")
def pools(splits):
    return [trained_pool(4, splits, seed) for seed in (0, 1, 2)]


@pytest.fixture(scope="module")
def comparison(pools):
    return compare_pools(
        pools,
        counts=(2, 4),
        subsets=2,
        methods=[*COLUMNS, TaskArithmetic(scale=0.5)],
        distil=student,
        network="mlp",
    )


def test_every_column_has_its_rows(comparison):
    methods = [*COLUMNS, "task-arithmetic"]
    rows = {(r.n, r.subset, r.seed, r.method, r.split, r.metric): r for r in comparison.rows}
    assert len(rows) == len(comparison.rows)
    trials = [(n, s, p) for p in (0, 1, 2) for n, s in ((2, 0), (2, 1), (4, 0))]
    wanted = {
        (*trial, method, split, metric)
        for trial in [*trials, (2, -1, -1), (4, 0, -1)]
        for method in methods
        for split in ("selection", "test")
        for metric in ("accuracy", "nll", "ece")
    }
    assert set(rows) == wanted
    assert all(r.network == "mlp" and r.data == "digits" for r in comparison.rows)
    assert all(
        r.low <= r.value + 1e-9 and r.high >= r.value - 1e-9
        for r in comparison.rows
        if r.metric != "ece" or r.seed == -1
    )
    assert all(0 <= r.low <= r.high <= 1 for r in comparison.rows if r.metric != "nll")


def test_summaries_are_means_over_subsets_and_then_pools(comparison):
    rows = [r for r in comparison.rows if (r.n, r.split, r.metric) == (2, "test", "accuracy")]
    for method in ("single-mean", "uniform-soup", "caruana-logits-ensemble"):
        mine = [r for r in rows if r.method == method]
        (whole,) = (r for r in mine if r.seed == -1)
        each = [r.value for r in mine if r.seed != -1]
        assert whole.value == pytest.approx(sum(each) / 6)
    summary = comparison.summary()
    assert len(summary) == 2 * len([*COLUMNS, "x"]) * 2 * 3
    assert all(row.seed == -1 for row in summary)


def test_costs_are_n_times_for_an_ensemble_and_once_for_a_soup(comparison):
    costs = {(cost.method, cost.n): cost for cost in comparison.costs}
    one = costs["single-best", 4]
    assert one.parameters == sum(p.numel() for p in mlp().parameters())
    assert all((cost.network, cost.data) == ("mlp", "digits") for cost in comparison.costs)
    assert one.macs == 64 * 16 + 16 * 10
    assert one.nbytes == 4 * one.parameters
    for method in ("uniform-soup", "distilled", "learned-soup"):
        assert costs[method, 4].macs == one.macs
    for method in ("logits-ensemble", "features-ensemble", "temperature-ensemble"):
        assert costs[method, 4].macs == 4 * one.macs
        assert costs[method, 2].nbytes == 2 * one.nbytes
        assert costs[method, 4].seconds == pytest.approx(4 * one.seconds)
    rows = {r.method: r.forwards for r in comparison.rows if r.n == 4 and r.seed == 0}
    assert rows["logits-ensemble"] == 4
    assert 1 <= rows["greedy-logits-ensemble"] <= 4
    assert rows["uniform-soup"] == 1


def test_every_decision_is_recorded(comparison):
    trials = {}
    for one in comparison.decisions:
        trials.setdefault((one.seed, one.n, one.subset), []).append(one)
    assert len(trials) == 9
    for (_, n, _), steps in trials.items():
        assert [one.step for one in steps] == list(range(n))
        assert steps[0].accepted
        best = steps[0].score
        for one in steps[1:]:
            assert one.accepted == (one.score >= best)
            best = max(best, one.score)
        assert len({one.candidate for one in steps}) == n
        assert {(one.network, one.data) for one in steps} == {("mlp", "digits")}


def test_the_verdict_the_differences_and_the_winners_confusion(comparison, splits):
    verdict = comparison.verdict
    method, names = verdict.preferred, {*COLUMNS, "task-arithmetic"}
    assert method in names - {"single-mean", "distilled"}
    assert verdict.choice in (method, "undecided")
    assert comparison.conclusion == verdict.sentence
    assert "pools and the test samples" in verdict.sentence
    assert {one.b for one, _ in verdict.evidence} == names - {method, "distilled"}
    assert len(verdict.claims) == len(verdict.evidence)
    assert {one.n for one in comparison.differences} == {2, 4}
    assert len([one for one in comparison.differences if one.n == 2]) == math.comb(6, 2)
    largest = [one for one in comparison.differences if one.n == 4]
    assert len(largest) == math.comb(len(names), 2)
    assert all(one.decided() == (one.p < 0.05) for one in largest)
    assert all(one.interval.low * one.interval.high > 0 for one in largest if one.decided())
    counts = torch.tensor(comparison.confusion.counts)
    assert counts.sum() == 3 * len(splits.test)
    assert comparison.confusion.method == method
    rows = {
        r.method: r.value
        for r in comparison.summary()
        if (r.n, r.split, r.metric) == (4, "test", "accuracy")
    }
    assert counts.diagonal().sum() / counts.sum() == pytest.approx(rows[method])


def test_it_goes_into_files(comparison):
    assert json.loads(json.dumps(comparison.as_dict(), allow_nan=False))["verdict"]
    rows = list(csv.DictReader(io.StringIO(comparison.to_csv())))
    assert len(rows) == len(comparison.rows)
    facts = dict(comparison.facts)
    assert facts["pools"] == "3, seeds 0, 1, 2"
    assert "pools and the test samples" in facts["intervals"]


def test_singles_run_once_a_split_and_ensembles_never(splits):
    seen = []
    networks = [counted(noisy(mlp(), 0.1, i), seen) for i in range(4)]
    ensembles = [name for name in COLUMNS if "ensemble" in name and "greedy" not in name]
    comparison = compare_pools(
        [pool_of(networks, splits)],
        subsets=50,
        methods=["single-mean", "single-best", *ensembles],
    )
    samples = len(splits.selection) + len(splits.test)
    assert sum(seen) == 4 * samples
    assert dict(comparison.facts)["samples run through networks"] == f"{4 * samples:,}"
    assert len([r for r in comparison.rows if r.n == 2 and r.method == "single-best"]) == 7 * 6


def test_each_soup_is_run_once_and_greedy_scores_at_most_n(splits):
    networks = [noisy(mlp(), 0.1, i) for i in range(3)]
    seen = []
    compare_pools(
        [pool_of(networks, splits, build=lambda: counted(mlp(), seen))],
        counts=(3,),
        methods=["uniform-soup", "greedy-soup", "greedy-logits-ensemble"],
    )
    both = len(splits.selection) + len(splits.test)
    assert sum(seen) - 1 == 2 * both + 2 * len(splits.selection)  # 1: the cost of one sample


def test_memory_holds_no_predictions_of_past_subsets(splits, monkeypatch):
    import gc

    from stockpot.evaluation import Predictions
    from stockpot.evaluation.contests import compare

    alive = []

    def watch(run, subset, place, plain=compare._Run.enter):
        plain(run, subset, place)
        gc.collect()
        alive.append(sum(type(one) is Predictions for one in gc.get_objects()))

    monkeypatch.setattr(compare._Run, "enter", watch)
    before = sum(type(one) is Predictions for one in gc.get_objects())
    pool = pool_of([noisy(mlp(), 0.1, i) for i in range(4)], splits)
    compare_pools([pool], counts=(2,), subsets=6)
    assert len(alive) == 6
    assert max(alive) - before <= 8 + 2  # the singles on both splits, and the last soup's


@pytest.mark.parametrize(("small", "threads"), [(costs.SMALL, 1), (0, 2)])
def test_small_networks_are_compared_on_one_thread(splits, monkeypatch, small, threads):
    monkeypatch.setattr(costs, "SMALL", small)
    before, used = torch.get_num_threads(), set()
    torch.set_num_threads(2)
    try:
        pool = pool_of([mlp(), mlp(1)], splits)
        compare_pools(
            [pool],
            methods=["single-best"],
            progress=lambda *_: used.add(torch.get_num_threads()),
        )
        assert used == {threads}
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def test_the_tally_names_what_was_run(splits):
    tally = Tally()
    run_singles(pool_of([mlp()], splits), tally=tally)
    assert dict(tally.samples) == {"net-0": len(splits.selection) + len(splits.test)}


def test_a_seed_repeats_everything_but_wall_time(pools):
    def once():
        found = compare_pools(pools[:1], subsets=2, methods=FREE)
        return found.rows, found.differences, found.decisions, found.verdict

    assert once() == once()


def test_one_pool_says_that_its_intervals_cover_samples_only(pools):
    found = compare_pools(pools[:1], counts=(4,), methods=["single-best", "uniform-soup"])
    assert "test samples only" in found.verdict.sentence
    assert {(r.seed, r.subset) for r in found.rows} == {(0, 0)}


def test_several_labels_are_judged_by_auroc():
    splits = several_splits()
    shape = {"num_classes": 4, "in_channels": 1, "image_size": 8}

    def new(seed=0):
        from stockpot.networks import build

        return build("mlp", seed=seed, width=16, depth=1, **shape)

    def train(seed):
        network = new()
        optimiser = torch.optim.Adam(network.parameters(), lr=0.01)
        generator = torch.Generator().manual_seed(seed)
        for _ in range(40):
            at = torch.randint(len(splits.train), (32,), generator=generator)
            loss = nn.functional.binary_cross_entropy_with_logits(
                network(splits.train.batch(at)), splits.train.labels[at].float()
            )
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
        return network.eval()

    pool = pool_of([train(i) for i in range(3)], splits, build=new)
    found = compare_pools([pool], counts=(3,), methods=FREE)
    assert {r.metric for r in found.rows} == {"auroc", "accuracy", "nll", "ece"}
    values = {r.method: r.value for r in found.rows if (r.split, r.metric) == ("test", "auroc")}
    assert set(values) == set(FREE)
    assert min(values.values()) > 0.6
    assert found.confusion is None
    assert "auroc" in found.verdict.sentence


class Normed(Network):
    """A network with batch normalisation."""

    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.BatchNorm2d(1), nn.Flatten())
        self.head = nn.Linear(64, 10)
        self.eval()

    def features(self, images):
        return self.body(images)


def test_soups_of_batch_norm_networks_have_a_second_row(splits, pools):
    calls = []

    def reestimate(network, batches):
        calls.append(network)
        norms = [one for one in network.modules() if isinstance(one, nn.BatchNorm2d)]
        for norm in norms:
            everything = torch.cat(list(batches))
            norm.running_mean.fill_(everything.mean())
            norm.running_var.fill_(everything.var())
        return len(norms)

    pool = pool_of([Normed(), Normed()], splits, build=Normed)
    methods = ["uniform-soup", "greedy-soup", "logits-ensemble"]
    found = compare_pools([pool], methods=methods, reestimate=reestimate)
    assert len(calls) == 5  # the best single and the uniform soup; greedy's one candidate, its soup
    names = list(dict.fromkeys(r.method for r in found.rows))
    assert names == [
        "single-mean",
        "single-best",
        "single-best:bn",
        "uniform-soup",
        "uniform-soup:bn",
        "greedy-soup",
        "greedy-soup:bn",
        "logits-ensemble",
    ]
    assert {one.b for one, _ in found.verdict.evidence} | {found.verdict.preferred} == set(names)
    values = {r.method: r.value for r in found.rows if (r.split, r.metric) == ("test", "nll")}
    assert values["uniform-soup"] != values["uniform-soup:bn"]
    single = compare_pools([pool], methods=["single-best"], reestimate=reestimate)
    assert {r.method for r in single.rows} == {*REFERENCES, "single-best:bn"}
    without = compare_pools(pools[:1], counts=(2,), methods=methods, reestimate=reestimate)
    assert not any(":bn" in r.method for r in without.rows)


def test_a_broken_network_counts_as_wrong_and_is_reported(splits):
    network = fitted(mlp(), splits.train, 0)
    loud = noisy(network, 0.0, 0)
    with torch.no_grad():
        for one in loud.parameters():
            one.mul_(1e25)
    found = compare_pools([pool_of([network, loud], splits)])
    rows = {r.method: r for r in found.rows if (r.split, r.metric) == ("test", "accuracy")}
    assert rows["logits-ensemble"].non_finite == 1
    assert rows["logits-ensemble"].value == 0
    assert rows["logits-ensemble"].high > 0
    assert rows["single-mean"].non_finite == 0.5
    assert rows["single-best"].non_finite == 0
    assert (
        "logits-ensemble up to 100.0%"
        in dict(found.facts)["outputs that are not finite, counted as wrong"]
    )


def test_a_users_metric_chooses_or_stands_beside(splits, pools):
    perplexity = metric_from("stockpot.evaluation.examples:perplexity")
    brier = metric_from("stockpot.evaluation.examples:brier")
    methods = ["single-mean", "single-best", "uniform-soup", "greedy-soup", "logits-ensemble"]
    found = compare_pools(pools, counts=(2,), methods=methods, metric=perplexity, also=[brier])
    mine = {r.method for r in found.rows if r.metric == "perplexity"}
    assert mine == set(methods[:4])  # an ensemble is no network
    assert {r.method for r in found.rows if r.metric == "brier"} == set(methods)
    one = next(r for r in found.rows if r.metric == "perplexity" and r.seed == 0)
    assert math.isnan(one.low)
    pooled = next(r for r in found.summary() if r.metric == "perplexity")
    assert pooled.low <= pooled.value <= pooled.high
    json.dumps(found.as_dict(), allow_nan=False)
    assert found.decisions[0].score > 1  # in its own units: the smallest perplexity first
    alone = compare_pools(pools[:1], counts=(2,), methods=methods, metric=perplexity)
    assert "[no interval]" in alone.conclusion  # one pool, and nothing to resample
    with pytest.raises(StockpotError, match="has to score ensembles"):
        compare_pools(pools, metric=perplexity)


def test_what_cannot_be_is_refused_before_anything_is_run(splits, pools):
    seen = []
    pool = pool_of([counted(mlp(i), seen) for i in range(3)], splits)
    for options, error, words in [
        ({"methods": ["slerp"]}, MergeError, "slerp merges 2 to 2"),
        ({"methods": ["ties"]}, MergeError, "ties needs a base"),
        ({"methods": ["uniform-soop"]}, FieldError, "did you mean 'uniform-soup'"),
        ({"methods": ["ties", "ties"]}, FieldError, "stands twice"),
        ({"methods": ["distilled"]}, StockpotError, "distil"),
        ({"counts": (1, 4)}, FieldError, "1 to 3"),
        ({"counts": (2, 2)}, FieldError, "must differ"),
        ({"subsets": 0}, FieldError, "subsets"),
        ({"margin": -1.0}, FieldError, "margin"),
        ({"metric": "f1"}, FieldError, "No metric"),
    ]:
        with pytest.raises(error, match=words):
            compare_pools([pool], **options)
    with pytest.raises(StockpotError, match="no pool"):
        compare_pools([])
    with pytest.raises(StockpotError, match="different seeds"):
        compare_pools([pools[0], pools[0]])
    assert not seen


def test_two_values_of_one_method_are_told_apart(pools):
    values = [Ties(density=0.2), Ties(density=0.5)]
    found = compare_pools(pools[:1], counts=(2,), methods=values)
    ties = {"ties density=0.2", "ties density=0.5"}
    assert {r.method for r in found.rows} == ties | REFERENCES
    assert {one.b for one, _ in found.verdict.evidence} | {found.verdict.preferred} == (
        ties | REFERENCES
    )
    two = compare_pools(pools[:2], counts=(2,), methods=values)
    assert all(math.isnan(row.low) for row in two.summary())
    assert two.verdict.choice == "undecided"
    assert "Two pools are too few for an interval" in two.conclusion


def test_a_network_whose_head_is_unknown_needs_one_found(splits):
    network = nn.Sequential(nn.Flatten(), nn.Linear(64, 10)).eval()
    with pytest.raises(StockpotError, match="give `headed=`"):
        compare_pools([pool_of([network, network], splits)])

    class Split:
        def __init__(self, network):
            self.network, self.head = network, network[1]

        def run(self, inputs):
            features = self.network[0](inputs)
            return self.head(features), features

    pool = pool_of(
        [network, network],
        splits,
        build=lambda: nn.Sequential(nn.Flatten(), nn.Linear(64, 10)).eval(),
        headed=Split,
    )
    found = compare_pools([pool])
    assert len({r.value for r in found.rows if (r.split, r.metric) == ("test", "accuracy")}) == 1


def test_progress_moves_forward(pools):
    told = []
    compare_pools(
        pools, methods=["single-best"], progress=lambda what, done: told.append((what, done))
    )
    done = [part for _, part in told]
    assert done == sorted(done)
    assert (done[0], told[-1]) == (0, ("done", 1.0))


def test_features_are_what_the_head_saw(splits):
    from stockpot.evaluation.predictions.ingredients import with_head

    network = mlp()
    seen = predict(with_head(network), splits.test)
    assert torch.equal(network.head(seen.features).detach(), seen.logits)
    assert torch.equal(predict(network, splits.test).logits, seen.logits)
    with pytest.raises(StockpotError, match=r"of 10 classes need \(95, 10\)"):
        predict(
            nn.Sequential(nn.Flatten(), nn.Linear(64, SHAPE["num_classes"] + 1)).eval(), splits.test
        )
