"""One temperature for a network's logits, fitted where choices are made.

Shapes: N samples, L classes.
"""

import math

from ...extras import optional
from ..predictions.predict import Predictions
from .losses import losses_of

_BOUNDS = (math.log(1e-3), math.log(1e3))
"""Of log T: a split without a mistake would take T to 0, random logits to infinity."""


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

    found = optional("scipy.optimize").minimize_scalar(loss, bounds=_BOUNDS, method="bounded")
    return math.exp(float(found.x))
