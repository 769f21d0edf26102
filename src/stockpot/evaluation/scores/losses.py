"""Losses of one class a sample or of several: with labels, and without.

Shapes: N samples, L classes.
"""

import torch.nn.functional as F
from torch import Tensor


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
