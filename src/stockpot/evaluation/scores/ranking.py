"""The area under the ROC curve on many resamples at once; scikit-learn's takes one at a time.

Shapes: R resamples, N samples, F finite ones in order of their scores, P positives among them.
"""

import torch
from torch import Tensor


def resampled_auroc(
    scores_N: Tensor, truth_N: Tensor, finite_N: Tensor, weights_RN: Tensor
) -> Tensor:
    """Σ over pairs (positive, negative) of 1 where ranked right and 1/2 where tied, over all pairs.

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
