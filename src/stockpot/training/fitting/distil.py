"""One network in place of an ensemble: trained on the ensemble's own probabilities.

Shapes: N samples, L classes.
"""

from dataclasses import replace

from torch import Tensor, nn

from ...data import Dataset
from ...experiments.fit import Fit
from .loop import fit


def distil(how: Fit, start: nn.Module, data: Dataset, targets_NL: Tensor, seed: int) -> nn.Module:
    """Fit a copy of `start` to soft targets by cross-entropy: the soup's rival at equal cost.

    Args:
        how: optimiser, schedule and length; its seed is replaced.
        start: the student's start, such as the best member; left as it is.
        data: the inputs; their labels are not looked at.
        targets_NL: probabilities, rows that sum to 1, or one for each of several classes.
        seed: of the order of the data.

    Source: Hinton et al., Distilling the knowledge in a neural network, arXiv 1503.02531.
    """
    return fit(start, data, replace(how, seed=seed), targets=targets_NL)
