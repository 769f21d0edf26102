"""Scores of predictions by scikit-learn, torchmetrics and torch, each with its bootstrap.

What is not finite is not left out: it counts as wrong (accuracy), as certain of the wrong thing
(nll, ece), or as chance (auroc), and is reported beside the score.

Shapes: N samples, L classes, R resamples, B bins; F finite samples in order of their scores, P
positives among them.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from ...data import Dataset
from ...errors import FieldError, StockpotError
from ...libraries import optional
from ...typed import from_numpy, to_numpy
from ..predictions.predict import Predictions
from ..results.comparison import SMALLER
from ..results.estimator import POSITIVE, SHARE, UNBOUNDED, Bounds
from ..results.intervals import Floats
from .bootstrap import Estimate, Resampler, pool_estimate
from .losses import losses_of

BINS = 15
CURVE_RESAMPLES = 200
"""Resamples of auroc: each has to rank the samples anew."""

BIN_RESAMPLES = 500
"""Resamples of ece: each sums every bin."""

NOT_FINITE_NLL = -float(np.log(np.finfo(np.float32).tiny))
"""Of a sample whose output is not finite: as if the label had the smallest float32 probability."""


def accuracy(predictions: Predictions) -> float:
    """Fraction of samples whose class is right; an output that is not finite is wrong.

    Where a sample may have several classes: the fraction of (sample, class) pairs that are right.
    """
    return float(predictions.correct().mean())


def nll(predictions: Predictions) -> float:
    """Mean negative log-likelihood of the labels in nats; of several classes the mean over them."""
    return float(nll_of_each(predictions).mean())


def ece(predictions: Predictions) -> float:
    """Expected calibration error over 15 equal bins: Σ_b n_b/n |confidence_b - accuracy_b|.

    Of one class a sample: of the likeliest class. Of several: of all (sample, class) pairs.
    """
    metrics = optional("torchmetrics.functional.classification")
    probabilities, labels = _probabilities(predictions), predictions.labels
    if predictions.is_multilabel:
        flat = probabilities.flatten(), labels.flatten().long()
        return float(metrics.binary_calibration_error(*flat, n_bins=BINS))
    classes = probabilities.shape[1]
    found = metrics.multiclass_calibration_error(probabilities, labels, classes, n_bins=BINS)
    return float(found)


def auroc(predictions: Predictions) -> float:
    """Mean over classes of the area under the ROC curve, each class against the rest.

    A class that every sample of the split has, or none, has no such area and is left out:
    `one_sided` names it. A pair of samples of which one is not finite counts 1/2, as chance does.

    Raises:
        StockpotError: where every class is left out.
    """
    finite_N, truth_NL, scores_NL = predictions.finite(), _truth(predictions), _ranks(predictions)
    areas = [_area(scores_NL[:, c], truth_NL[:, c], finite_N) for c in _two_sided(predictions)]
    return float(np.mean(areas))


def one_sided(labels: Tensor, num_classes: int) -> tuple[int, ...]:
    """Classes that all samples have, or none: no area under a curve is defined for them."""
    truth_NL = labels if labels.ndim == 2 else torch.nn.functional.one_hot(labels, num_classes)
    share_L = truth_NL.double().mean(dim=0)
    return tuple(int(c) for c in ((share_L == 0) | (share_L == 1)).nonzero().flatten())


@dataclass(frozen=True, slots=True)
class Metric:
    """A score by name.

    Attributes:
        name: in tables.
        value: of predictions; None where only a network can be scored.
        draws: its values on a split's resamples, float64 [R]; empty where it has none.
        larger: whether larger is better.
        bounds: between what it lies.
        rows: the share that each sample has in it, [N], of which it is the mean; None for others.
        fewest: originals that bound it where it is at an end of its bounds; None for others.
        of_network: the score of a network on a data set, for a metric that must run it itself.
        chooses: whether it may choose on the selection split: not if it brings its own data.
    """

    name: str
    value: Callable[[Predictions], float] | None
    draws: Callable[[Predictions, Resampler], Floats]
    larger: bool = True
    bounds: Bounds = UNBOUNDED
    rows: Callable[[Predictions], Tensor] | None = None
    of_network: Callable[[nn.Module, Dataset], float] | None = None
    fewest: Callable[[Predictions], int] | None = None
    chooses: bool = True

    @property
    def sign(self) -> int:
        """1 where larger is better, else -1."""
        return 1 if self.larger else -1

    def estimate(self, predictions: Predictions, resampler: Resampler) -> Estimate:
        """The value and its draws."""
        assert self.value is not None
        return pool_estimate(
            self.value(predictions),
            self.draws(predictions, resampler),
            resampler.originals,
            self.bounds,
            resampler.by_original(self.rows(predictions)) if self.rows else None,
            resampler.test_set,
            self.fewest(predictions) if self.fewest else 0,
        )


def find_metric(name: str) -> Metric:
    """A built-in metric.

    Raises:
        FieldError: there is none of this name.
    """
    if name not in METRICS:
        raise FieldError(f"No metric '{name[:80]}'; there are {', '.join(METRICS)}.")
    return METRICS[name]


def nll_of_each(predictions: Predictions) -> Tensor:
    """Of each sample, float64 [N]: nats; what is not finite is as the least likely of all."""
    # Cast before the logarithm: float32 softmax rounds likelihoods near 1 to exactly 1.
    loss_N = losses_of(predictions.logits.double(), predictions.labels)
    return torch.where(predictions.finite(), loss_N, NOT_FINITE_NLL)


def _probabilities(predictions: Predictions) -> Tensor:
    """float32 [N, L]; where the output is not finite, 1 for what is wrong."""
    truth_NL = _truth(predictions)
    if predictions.is_multilabel:
        said_NL, wrong_NL = predictions.logits.sigmoid(), ~truth_NL
    else:
        said_NL, wrong_NL = predictions.logits.softmax(dim=1), truth_NL.roll(1, dims=1)
    return torch.where(predictions.finite()[:, None], said_NL, wrong_NL.float()).float()


def _ranks(predictions: Predictions) -> Tensor:
    """What orders samples by the probability of a class, without its saturation at 0 and 1."""
    if predictions.is_multilabel:
        return predictions.logits
    return predictions.logits.double().log_softmax(dim=1)


def _truth(predictions: Predictions) -> Tensor:
    """Bool [N, L]."""
    if predictions.is_multilabel:
        return predictions.labels
    classes = predictions.logits.shape[1]
    return torch.nn.functional.one_hot(predictions.labels, classes).bool()


def _two_sided(predictions: Predictions) -> list[int]:
    classes = predictions.logits.shape[1]
    without = one_sided(predictions.labels, classes)
    if len(without) == classes:
        raise StockpotError(
            "auroc: in this split every class is one that all samples have, or none; use a larger "
            "split, or another metric."
        )
    return [c for c in range(classes) if c not in without]


def _area(scores_N: Tensor, truth_N: Tensor, finite_N: Tensor) -> float:
    truth_F, pairs = truth_N[finite_N], int(truth_N.sum()) * int((~truth_N).sum())
    positives = int(truth_F.sum())
    ranked = positives * (len(truth_F) - positives)
    if not ranked:
        return 0.5
    area = float(optional("sklearn.metrics").roc_auc_score(truth_F, scores_N[finite_N]))
    return area * ranked / pairs + 0.5 * (1 - ranked / pairs)


def _smallest_side(predictions: Predictions) -> int:
    """Originals of the class, or of the rest of one, that has the fewest.

    Each sample of the smaller side has a placement, the share of the other side that it is ranked
    against rightly, and the area is their mean. All m placements are 1 with probability s^m where
    a share s of placements is, and the area is at least s: Clopper and Pearson's bound of s holds.
    """
    truth_NL = _truth(predictions)
    sides = [(truth_NL[:, c], ~truth_NL[:, c]) for c in _two_sided(predictions)]
    originals = to_numpy(predictions.originals)
    return min(len(np.unique(originals[to_numpy(s)])) for pair in sides for s in pair)


def _accuracy_draws(predictions: Predictions, resampler: Resampler) -> Floats:
    return resampler.means(predictions.correct())


def _nll_draws(predictions: Predictions, resampler: Resampler) -> Floats:
    return resampler.means(nll_of_each(predictions))


def _ece_draws(predictions: Predictions, resampler: Resampler) -> Floats:
    """|Σ (confidence - right)| of each bin, summed and divided by the pairs there are."""
    probabilities_NL = _probabilities(predictions)
    if predictions.is_multilabel:
        sure, right = probabilities_NL, predictions.labels
    else:
        sure, said_N1 = probabilities_NL.max(dim=1, keepdim=True)
        right = said_N1 == predictions.labels[:, None]
    edges = torch.linspace(0, 1, BINS + 1)
    # The last bin holds confidences of exactly 1 alone, as torchmetrics has it.
    bin_ = torch.bucketize(sure, edges, right=True) - 1
    gaps_NB = torch.zeros(len(sure), BINS + 1, dtype=torch.float64)
    gaps_NB.scatter_add_(1, bin_, sure.double() - right.double())
    sums_RB = resampler.sums(to_numpy(gaps_NB), BIN_RESAMPLES)
    return np.abs(sums_RB).sum(axis=1) / (resampler.sizes_R[:BIN_RESAMPLES] * sure.shape[1])


def _auroc_draws(predictions: Predictions, resampler: Resampler) -> Floats:
    weights_RN = from_numpy(resampler.weights(CURVE_RESAMPLES))
    finite_N, truth_NL, scores_NL = predictions.finite(), _truth(predictions), _ranks(predictions)
    areas = [
        _resampled_auroc(scores_NL[:, c], truth_NL[:, c], finite_N, weights_RN)
        for c in _two_sided(predictions)
    ]
    # A resample without a class on either side has no area for it, and averages the others.
    return to_numpy(torch.stack(areas).nanmean(dim=0))


def _resampled_auroc(
    scores_N: Tensor, truth_N: Tensor, finite_N: Tensor, weights_RN: Tensor
) -> Tensor:
    """Σ over pairs (positive, negative) of 1 where ranked right and 1/2 where tied, over all pairs.

    On all resamples at once; scikit-learn takes one at a time.

    Args:
        scores_N: larger for likelier positives.
        truth_N: bool, the positives.
        finite_N: bool; a pair of which one is not finite counts 1/2.
        weights_RN: float64, how often each resample holds each sample.

    Returns:
        float64 [R]; NaN where a resample has no pair.
    """
    finite_F = finite_N.nonzero().flatten()
    scores_F, order_F = scores_N[finite_F].sort()
    order_F = finite_F[order_F]
    positive_F = truth_N[order_F]
    negatives_RF = weights_RN[:, order_F] * ~positive_F
    before_RF = torch.nn.functional.pad(negatives_RF.cumsum(dim=1), (1, 0))
    scores_P = scores_F[positive_F]
    lower_RP = before_RF[:, torch.searchsorted(scores_F, scores_P)]
    upper_RP = before_RF[:, torch.searchsorted(scores_F, scores_P, right=True)]
    positives_RP = weights_RN[:, order_F[positive_F]]
    ranked_R = (positives_RP * (lower_RP + upper_RP)).sum(dim=1) / 2
    compared_R = positives_RP.sum(dim=1) * before_RF[:, -1]
    positives_R = weights_RN @ truth_N.double()
    pairs_R = positives_R * (weights_RN.sum(dim=1) - positives_R)
    return (ranked_R + (pairs_R - compared_R) / 2) / pairs_R


METRICS: Mapping[str, Metric] = {
    one.name: one
    for one in (
        Metric("accuracy", accuracy, _accuracy_draws, bounds=SHARE, rows=Predictions.correct),
        Metric("auroc", auroc, _auroc_draws, bounds=SHARE, fewest=_smallest_side),
        Metric("nll", nll, _nll_draws, larger="nll" not in SMALLER, bounds=POSITIVE),
        Metric("ece", ece, _ece_draws, larger="ece" not in SMALLER, bounds=SHARE),
    )
}
"""The built-in metrics."""
