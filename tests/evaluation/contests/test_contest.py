"""One contest: resamples that belong together, one ledger for one task or several, one price."""

from dataclasses import replace
from itertools import count, repeat

import pytest
import torch

from stockpot.data import Invert, Splits
from stockpot.errors import FieldError
from stockpot.evaluation import METRICS, Metric
from stockpot.evaluation.contests.contest import Contest, Resamplers, choose_metric
from stockpot.evaluation.contests.costs import Prices, price_of
from stockpot.evaluation.contests.ledger import Ledger, RowPlace
from stockpot.evaluation.predictions.views import views_of
from stockpot.evaluation.results.comparison import ALL_TASKS

from ..making import few_digits, mlp

PLACE = RowPlace(1, 0, 0)


@pytest.fixture(scope="module")
def splits():
    return few_digits()


def contest_of(*tasks):
    return Contest(metric=METRICS["accuracy"], ledger=Ledger("mlp", tasks))


def test_what_shows_the_same_samples_shares_a_resampler(splits):
    resamplers = Resamplers(count())
    dark = Splits(*(Invert()(part) for part in (splits.train, splits.selection, splits.test)))
    other = replace(splits, test=splits.test.take(torch.arange(len(splits.test) - 1)))
    plain = resamplers.exam(splits, views_of(splits, {"dark": Invert()})).resamplers
    same, apart = resamplers.exam(dark).resamplers, resamplers.exam(other).resamplers
    assert plain["test"] is plain["test/dark"] is same["test"]
    assert plain["selection"] is same["selection"] is apart["selection"]
    assert plain["test"] is not apart["test"]
    assert next(resamplers.seeds) == 3  # of selection, test, and the other test split


def test_the_ledger_of_several_tasks_has_their_mean_first(splits):
    contest, exam = contest_of("a", "b"), Resamplers(repeat(0)).exam(splits)
    for seed in (0, 1):
        entrant = contest.network_entrant(exam, f"net-{seed}", "single", mlp(seed))
        contest.ledger.enter(PLACE, [entrant, entrant])
    rows = contest.ledger.rows()
    assert list(dict.fromkeys(row.data for row in rows)) == [ALL_TASKS, "a", "b"]
    of = {(r.data, r.method, r.metric, r.split): (r.value, r.low, r.high) for r in rows}
    for (data, *key), numbers in of.items():
        assert of[ALL_TASKS, *key] == pytest.approx(numbers, abs=1e-12), data
    pairs = [("net-0", "net-1"), ("net-0", "net-0")]
    one, same = contest.ledger.differences(1, pairs, "accuracy")
    assert (one.a, one.b, same.interval.value, same.p) == ("net-0", "net-1", 0, 1)
    assert 0 <= one.p <= 1


def test_the_ledger_of_one_task_has_no_mean(splits):
    contest, exam = contest_of("a"), Resamplers(repeat(0)).exam(splits)
    contest.ledger.enter(PLACE, [contest.network_entrant(exam, "net", "single", mlp())])
    assert {row.data for row in contest.ledger.rows()} == {"a"}
    assert contest.ledger.whole == "a"
    assert contest.ledger.methods(1) == ["net"]
    assert not contest.ledger.has(2, "net", ("test", "accuracy"))


def test_a_candidate_is_run_on_the_selection_split_alone(splits):
    contest, exam = contest_of("a"), Resamplers(repeat(0)).exam(splits)
    score = contest.selection_score(exam, mlp(), "candidate")
    assert dict(contest.tally.samples) == {"candidate": len(splits.selection)}
    entrant = contest.network_entrant(exam, "net", "single", mlp())
    assert score == entrant.scores.estimates["selection", "accuracy"].value


def test_one_task_costs_its_networks_and_several_share_a_body(splits):
    network = mlp()
    whole = price_of(network, splits.test)
    own = {name for name in network.state_dict() if name.startswith("head.")}
    parted = price_of(network, splits.test, own)
    alone = Prices([whole], 0.5).cost("x", 3, [0], bodies=2.5, forwards=2.5)
    assert alone.parameters == round(2.5 * whole.network.parameters)
    assert alone.seconds == 1.25
    shared = Prices([parted, parted], 0.5).cost("x", 2, [0, 1], bodies=1, forwards=1)
    assert shared.parameters == whole.network.parameters + parted.own_parameters
    assert shared.nbytes == whole.network.nbytes + parted.own_nbytes
    assert shared.macs == whole.network.macs


def test_what_may_choose_is_the_same_for_every_contest(splits):
    several = replace(
        splits, test=replace(splits.test, labels=torch.ones(len(splits.test), 10) > 0)
    )
    assert choose_metric(None, [splits, splits]).name == "accuracy"
    assert choose_metric(None, [several]).name == "auroc"
    assert choose_metric("nll", [splits, several]).name == "nll"
    with pytest.raises(FieldError, match="name one metric for all"):
        choose_metric(None, [splits, several])
    own = Metric("own", None, METRICS["nll"].draws, of_network=lambda *_: 0.0, chooses=False)
    with pytest.raises(FieldError, match="own brings its own data"):
        choose_metric(own, [splits])
