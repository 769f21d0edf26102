"""Masks that say which elements of a merged task vector belong to a task."""

from ..lazy import Tensor
from .signs import elect_sign


def localised(delta: Tensor, total: Tensor, ratio: float) -> Tensor:
    """+1 where the merged task vector is this task's, `|δ| >= ratio · |Δ - δ|`, else -1.

    Args:
        delta: the task's own vector [S].
        total: the merged one [S].
        ratio: λ, at least 0; larger takes less for the task's.

    Returns:
        A new tensor [S].
    """
    rest = (total - delta).abs_()
    return elect_sign(delta.abs().sub_(rest.mul_(ratio)))
