"""The area under the ROC curve on many resamples at once; scikit-learn's takes one at a time.

Shapes: R resamples, N samples, U distinct scores.
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
    positive_RN, negative_RN = weights_RN * truth_N, weights_RN * ~truth_N
    pairs_R = positive_RN.sum(dim=1) * negative_RN.sum(dim=1)
    levels, level_F = scores_N[finite_N].unique(return_inverse=True)
    positive_RU = _by_level(positive_RN[:, finite_N], level_F, len(levels))
    negative_RU = _by_level(negative_RN[:, finite_N], level_F, len(levels))
    below_RU = negative_RU.cumsum(dim=1) - negative_RU / 2
    ranked_R = (positive_RU * below_RU).sum(dim=1)
    compared_R = positive_RU.sum(dim=1) * negative_RU.sum(dim=1)
    return (ranked_R + (pairs_R - compared_R) / 2) / pairs_R


def _by_level(values_RF: Tensor, level_F: Tensor, levels: int) -> Tensor:
    summed = torch.zeros(len(values_RF), levels, dtype=values_RF.dtype)
    return summed.index_add_(1, level_F, values_RF)
