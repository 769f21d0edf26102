"""Losses of one class a sample or of several, with labels and without; and a temperature for them.

Shapes: N samples, L classes.
"""

import math

import torch.nn.functional as F
from torch import Tensor

from ...libraries import optional
from ..predictions.predict import Predictions

_LOG_T_BOUNDS = (math.log(1e-3), math.log(1e3))
"""Of log T: a split without a mistake would take T to 0, random logits to infinity."""


def losses_of(logits_NL: Tensor, labels: Tensor) -> Tensor:
    """Of each sample, [N]: cross-entropy in nats; of several classes the mean over classes."""
    if labels.ndim == 1:
        return F.cross_entropy(logits_NL, labels, reduction="none")
    target_NL = labels.to(logits_NL.dtype)
    return F.binary_cross_entropy_with_logits(logits_NL, target_NL, reduction="none").mean(dim=1)


def entropy_of(logits_NL: Tensor, *, several: bool) -> Tensor:
    """Of what is said of each sample, in nats, [N]; no label is looked at.

    One class a sample: -Σ_l p_l log p_l with p = softmax. Several: the mean over classes of the
    entropy of yes or no.
    """
    if several:
        yes_NL, no_NL = F.logsigmoid(logits_NL), F.logsigmoid(-logits_NL)
        return -(yes_NL.exp() * yes_NL + no_NL.exp() * no_NL).mean(dim=1)
    log_NL = logits_NL.log_softmax(dim=1)
    return -(log_NL.exp() * log_NL).sum(dim=1)


def fit_temperature(selection: Predictions) -> float:
    """The T > 0 that makes softmax(z / T) (or the sigmoids) most likely on the selection split.

    The negative log-likelihood is convex in 1/T, so a bounded Brent search over log T finds it, in
    [0.001, 1000]. Samples with an output that is not finite say nothing of T and are left out;
    where no other is left T is 1.

    Raises:
        ExtraError: without scipy.

    Source: Guo et al., On calibration of modern neural networks, ICML 2017, arXiv 1706.04599.
    """
    finite_N = selection.finite()
    if not bool(finite_N.any()):
        return 1.0
    logits_NL, labels = selection.logits[finite_N].double(), selection.labels[finite_N]

    def loss(log_t: float) -> float:
        return float(losses_of(logits_NL / math.exp(log_t), labels).mean())

    found = optional("scipy.optimize").minimize_scalar(loss, bounds=_LOG_T_BOUNDS, method="bounded")
    return math.exp(float(found.x))
