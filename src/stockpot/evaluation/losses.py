"""The negative log-likelihood of labels, of one class a sample or of several.

Shapes: N samples, L classes.
"""

import torch.nn.functional as F
from torch import Tensor


def loss_of(logits_NL: Tensor, labels: Tensor) -> Tensor:
    """Of each sample, [N]: cross-entropy in nats; of several classes the mean over classes."""
    if labels.ndim == 1:
        return F.cross_entropy(logits_NL, labels, reduction="none")
    target_NL = labels.to(logits_NL.dtype)
    return F.binary_cross_entropy_with_logits(logits_NL, target_NL, reduction="none").mean(dim=1)
