import sys
import types

import pytest
import torch

from stockpot.errors import FieldError, StockpotError
from stockpot.evaluation import accuracy, metric_from, nll, predict
from stockpot.evaluation.scores.bootstrap import Resampler

from ..making import few_digits, mlp, said


@pytest.fixture
def mine(monkeypatch):
    module = types.ModuleType("my_metrics")
    monkeypatch.setitem(sys.modules, "my_metrics", module)
    return module


def test_a_metric_of_labels_and_predictions(mine):
    mine.right = lambda labels, predictions: (predictions.argmax(1) == labels).float().mean()
    metric = metric_from("my_metrics:right")
    seen = predict(mlp(), few_digits().test)
    assert metric.value(seen) == pytest.approx(accuracy(seen))
    draws = metric.draws(seen, Resampler(seen.originals))
    assert len(draws) == 100
    assert draws == pytest.approx(Resampler(seen.originals).means(seen.correct())[:100])
    assert metric.larger
    assert metric.of_network is None


def test_outputs_that_are_not_finite_arrive_as_nan(mine):
    got = []
    mine.look = lambda labels, predictions: got.append(predictions) or 0.0
    metric_from("my_metrics:look").value(said([[float("inf"), 0.0], [0.0, 0.0]], [0, 1]))
    assert got[0][0].isnan().all()
    assert got[0][1].tolist() == [0.5, 0.5]


def test_the_examples():
    splits = few_digits()
    network = mlp()
    metric = metric_from("stockpot.evaluation.examples:perplexity")
    expected = torch.tensor(nll(predict(network, splits.test))).exp()
    assert metric.of_network(network, splits.test) == pytest.approx(float(expected), rel=1e-5)
    assert (metric.sign, metric.value) == (-1, None)
    brier = metric_from("stockpot.evaluation.examples:brier")
    assert brier.value(said([[50.0, 0.0], [0.0, 50.0]], [0, 0])) == pytest.approx(1)
    assert brier.value(said([[float("nan"), 0.0]], [0])) == 2
    assert not brier.larger


def test_a_network_metric_with_its_own_data_may_not_choose(mine):
    mine.alone = lambda network: 3
    metric = metric_from("my_metrics:alone")
    assert not metric.chooses
    assert metric.of_network(mlp(), few_digits().test) == 3.0


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ("accuracy", "must be written package.module:function"),
        ("my_metrics:", "must be written package.module:function"),
        ("no_such_module:f", "no module 'no_such_module'"),
        ("my_metrics:nothing", "no function 'nothing'"),
        ("my_metrics:odd", r"takes \(a, b\)"),
    ],
)
def test_what_is_no_metric_is_refused(mine, spec, words):
    mine.odd = lambda a, b: 0
    with pytest.raises(FieldError, match=words):
        metric_from(spec)


def test_what_is_no_number_is_refused(mine):
    mine.words = lambda labels, predictions: "good"
    with pytest.raises(StockpotError, match="expected one number; got str"):
        metric_from("my_metrics:words").value(said([[0.0, 1.0]], [0]))
