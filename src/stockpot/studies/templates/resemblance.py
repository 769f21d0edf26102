"""How like two pictures are: Pearson's correlation and structural similarity, picture by picture.

Shapes: R pictures, S others, C channels, H x W pixels, P = C H W.
"""

import math
from collections.abc import Sequence
from itertools import combinations

import torch
from torch import Tensor

from ...libraries import optional

WINDOW, SMALL_WINDOW, SMALL = 7, 3, 16
"""Sides of SSIM's window, the smaller one for images below 16 pixels."""


def correlations(a_RCHW: Tensor, b_SCHW: Tensor) -> Tensor:
    """Pearson's correlation over pixels of every picture with every other, float64 [R, S].

    NaN where a picture is constant.
    """
    a_RP, b_SP = a_RCHW.flatten(1).double(), b_SCHW.flatten(1).double()
    return torch.corrcoef(torch.cat([a_RP, b_SP]))[: len(a_RP), len(a_RP) :]


def correlation(a_RCHW: Tensor, b_RCHW: Tensor) -> float:
    """The mean over pictures of the correlation of each with its counterpart."""
    return mean(correlations(a_RCHW, b_RCHW).diagonal())


def similarity(a_RCHW: Tensor, b_RCHW: Tensor) -> float:
    """The mean over pictures of SSIM, both brought to mean 1/2 and standard deviation 1/6 of 1.

    SSIM compares luminance, which has no sign: of pictures around 0 it would call a negative alike.
    Brought to one mean and deviation it is structure that counts. Uniform windows of 7 x 7 pixels
    (3 x 3 for images below 16 pixels). Constant pictures are left out.

    Raises:
        ExtraError: without torchmetrics.
    """
    metrics = optional("torchmetrics.functional.image")
    window = SMALL_WINDOW if min(a_RCHW.shape[-2:]) < SMALL else WINDOW
    found: list[float] = []
    a_R1CHW, b_R1CHW = _grey(a_RCHW)[:, None], _grey(b_RCHW)[:, None]
    for a_1CHW, b_1CHW in zip(a_R1CHW, b_R1CHW, strict=True):
        if bool(a_1CHW.isfinite().all()) and bool(b_1CHW.isfinite().all()):
            value = metrics.structural_similarity_index_measure(
                a_1CHW, b_1CHW, gaussian_kernel=False, kernel_size=window, data_range=1.0
            )
            found.append(float(value))
    return math.fsum(found) / len(found) if found else math.nan


def contrasts(a_RCHW: Tensor) -> Tensor:
    """Standard deviation over pixels, float64 [R]."""
    return a_RCHW.flatten(1).double().std(dim=1, correction=0)


def fading(average_RCHW: Tensor, parents: Sequence[Tensor]) -> tuple[float, float, float]:
    """Of averaged pictures: contrast over the parents', likeness of parents, likeness to parents.

    The first is the mean over pictures of std(average) / sqrt(mean_k std(parent_k)²), which is
    sqrt((1 + (n - 1) ρ) / n) for n parents of equal contrast and correlation ρ.
    """
    squares = torch.stack([contrasts(one).square() for one in parents]).mean(0)
    alike = [correlation(a, b) for a, b in combinations(parents, 2)]
    to_parents = [correlation(average_RCHW, one) for one in parents]
    return (
        mean(contrasts(average_RCHW) / squares.sqrt()),
        math.fsum(alike) / len(alike) if alike else math.nan,
        math.fsum(to_parents) / len(to_parents),
    )


def matched(templates_RCHW: Tensor, means_RCHW: Tensor) -> float:
    """Share of templates that correlate more with their own mean than with any other.

    A constant template correlates with none, and counts as one that does not.
    """
    own = torch.arange(len(templates_RCHW))
    found_RR = correlations(templates_RCHW, means_RCHW)
    some_R = (~found_RR.isnan()).any(dim=1)
    best_R = found_RR.nan_to_num(-2).argmax(dim=1)
    return float((some_R & (best_R == own)).double().mean())


def mean(values: Tensor) -> float:
    """Of those that are numbers."""
    there = values[~values.isnan()]
    return float(there.mean()) if len(there) else math.nan


def _grey(a_RCHW: Tensor) -> Tensor:
    flat_RP = a_RCHW.flatten(1).double()
    middle_R1, width_R1 = flat_RP.mean(dim=1, keepdim=True), contrasts(a_RCHW)[:, None]
    return (0.5 + (flat_RP - middle_R1) / (6 * width_R1)).reshape(a_RCHW.shape)
