import math

import numpy as np
import pytest
import torch
from sklearn.metrics import accuracy_score, roc_auc_score
from torchmetrics.functional.classification import (
    binary_calibration_error,
    multiclass_calibration_error,
)

from stockpot.errors import FieldError, StockpotError
from stockpot.evaluation import METRICS, accuracy, auroc, ece, nll
from stockpot.evaluation.scores.bootstrap import Resampler
from stockpot.evaluation.scores.metrics import find_metric, one_sided

from ..making import said

NAN = float("nan")


def random_predictions(count=300, classes=4, several=False, seed=0):
    generator = torch.Generator().manual_seed(seed)
    logits = 2 * torch.randn(count, classes, generator=generator)
    if several:
        labels = torch.rand(count, classes, generator=generator) < logits.sigmoid()
    else:
        labels = torch.multinomial(logits.softmax(1), 1, generator=generator).flatten()
    return said(logits, labels)


def broken(predictions, rows):
    logits = predictions.logits.clone()
    logits[rows, 0] = NAN
    return said(logits, predictions.labels)


def test_accuracy_of_several_labels_is_the_fraction_of_pairs():
    labels = torch.tensor([[True, False], [True, True]])
    predictions = said([[1.0, 2.0], [3.0, 0.1]], labels)
    assert accuracy(predictions) == 0.75
    assert predictions.correct().tolist() == [0.5, 1.0]
    assert accuracy(said([[NAN, 2.0], [3.0, 0.1]], labels)) == 0.5


def test_accuracy_is_sklearns_to_the_last_bit():
    predictions = random_predictions()
    assert accuracy(predictions) == accuracy_score(predictions.labels, predictions.classes())


def test_nll_is_torchs():
    predictions = random_predictions()
    expected = torch.nn.functional.cross_entropy(predictions.logits, predictions.labels)
    assert nll(predictions) == pytest.approx(float(expected), rel=1e-5)
    several = random_predictions(several=True)
    expected = torch.nn.functional.binary_cross_entropy_with_logits(
        several.logits, several.labels.float()
    )
    assert nll(several) == pytest.approx(float(expected), rel=1e-5)


def test_ece_is_torchmetrics_and_of_a_calibrated_network_small():
    predictions = random_predictions(3000)
    probabilities = predictions.logits.softmax(1)
    expected = multiclass_calibration_error(probabilities, predictions.labels, 4, n_bins=15)
    assert ece(predictions) == pytest.approx(float(expected))
    assert ece(predictions) < 0.03 < ece(said(5 * predictions.logits, predictions.labels))
    several = random_predictions(3000, several=True)
    flat = several.logits.sigmoid().flatten(), several.labels.flatten().long()
    assert ece(several) == pytest.approx(float(binary_calibration_error(*flat, n_bins=15)))


def test_auroc_is_the_mean_over_classes():
    several = random_predictions(several=True)
    expected = roc_auc_score(several.labels, several.logits, average="macro")
    assert auroc(several) == pytest.approx(expected)
    single = random_predictions()
    expected = roc_auc_score(
        single.labels, single.logits.double().softmax(1), multi_class="ovr", average="macro"
    )
    assert auroc(single) == pytest.approx(expected)


def test_a_class_that_nobody_or_everybody_has_is_left_out_and_named():
    several = random_predictions(several=True)
    labels = several.labels.clone()
    labels[:, 1], labels[:, 3] = True, False
    assert one_sided(labels, 4) == (1, 3)
    kept = [roc_auc_score(labels[:, c], several.logits[:, c]) for c in (0, 2)]
    assert auroc(said(several.logits, labels)) == pytest.approx(np.mean(kept))
    with pytest.raises(StockpotError, match="every class"):
        auroc(said(several.logits, torch.ones_like(labels)))


def test_outputs_that_are_not_finite_are_wrong_certain_and_chance():
    predictions = random_predictions(several=True)
    everything = broken(predictions, slice(None))
    assert (accuracy(everything), auroc(everything), ece(everything)) == (0, 0.5, 1)
    assert nll(everything) > 80
    some = broken(predictions, slice(0, 30))
    assert some.non_finite == 30
    assert 0.5 < auroc(some) < auroc(predictions)
    assert accuracy(some) == pytest.approx(accuracy(predictions) * 0.9, abs=0.03)
    one_class = broken(random_predictions(), slice(0, 30))
    assert math.isfinite(nll(one_class))
    assert ece(one_class) > ece(random_predictions())
    assert accuracy(one_class) < accuracy(random_predictions())


@pytest.mark.parametrize("name", METRICS)
@pytest.mark.parametrize("several", [False, True])
@pytest.mark.parametrize("bad", [0, 20])
def test_draws_are_the_metric_on_the_resampled_samples(name, several, bad):
    predictions = broken(random_predictions(several=several), slice(0, bad))
    resampler = Resampler(predictions.originals, resamples=6)
    metric = METRICS[name]
    for weights, drawn in zip(
        resampler.weights(6), metric.draws(predictions, resampler), strict=True
    ):
        at = torch.as_tensor(np.repeat(np.arange(300), weights.astype(int)))
        again = said(predictions.logits[at], predictions.labels[at])
        assert drawn == pytest.approx(metric.value(again), rel=1e-5, abs=1e-6)


def test_an_unknown_metric_is_refused_with_the_known_ones():
    assert find_metric("nll").sign == -1
    with pytest.raises(FieldError, match="accuracy, auroc, nll, ece"):
        find_metric("f1")
