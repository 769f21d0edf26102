"""Metrics as a user would write them, for `metric_from`.

Shapes: N samples, L classes.
"""

import math

import torch
from torch import Tensor, nn

from ..data import Dataset


def brier(labels: Tensor, predictions: Tensor) -> float:
    """Mean squared distance of the probabilities [N, L] from the labels [N]; smaller is better.

    NaN, an output that was not finite, costs 2, the most there is.
    """
    truth_NL = torch.nn.functional.one_hot(labels, predictions.shape[1])
    cost_N = (predictions - truth_NL).square().sum(dim=1)
    return float(torch.where(cost_N.isnan(), 2.0, cost_N).mean())


def perplexity(network: nn.Module, data: Dataset) -> float:
    """exp of the mean cross-entropy of the labels; smaller is better."""
    logits_NL = network(data.batch(slice(None)))
    return math.exp(torch.nn.functional.cross_entropy(logits_NL, data.labels))


setattr(brier, "larger_is_better", False)  # noqa: B010 - a function's attribute, for pyright
setattr(perplexity, "larger_is_better", False)  # noqa: B010
