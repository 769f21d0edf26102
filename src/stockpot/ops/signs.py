"""Sign election and the mean of those that agree, without a boolean tensor (three times slower)."""

from collections.abc import Sequence
from typing import Literal

from ..lazy import Tensor, torch


def elect_sign(total: Tensor) -> Tensor:
    """+1 where `total >= 0`, else -1; a new tensor of the same shape [S]."""
    return total.sign().add_(0.5).sign_()


def agreeing(delta: Tensor, sign: Tensor) -> Tensor:
    """`|delta|` where delta has this sign, else 0."""
    return (delta * sign).relu_()


def disjoint_merge(
    deltas: Sequence[Tensor], sign: Tensor, weights: Sequence[float], *, mean: bool
) -> Tensor:
    """Sum, or weighted mean, over the deltas whose sign is the elected one.

        m_k = [sign(δ_k) = sign],    Σ_k m_k δ_k   or   Σ_k m_k δ_k / Σ_k m_k w_k

    Args:
        deltas: K tensors [S], already multiplied by their weights; zeros never agree.
        sign: [S] of ±1.
        weights: K numbers, what the mean divides by; where they sum to 0 it divides by 1.
        mean: the weighted mean, else the sum.

    Returns:
        A new tensor [S].
    """
    merged = agreeing(deltas[0], sign)
    share = _share(merged.clone(), weights[0]) if mean else None
    part = torch.empty_like(sign)
    for delta, weight in zip(deltas[1:], weights[1:], strict=True):
        torch.mul(delta, sign, out=part).relu_()
        merged.add_(part)
        if share is not None:
            share.add_(_share(part, weight))
    if share is not None:
        if min(weights) > 0:
            merged.div_(share.clamp_min_(min(weights)))
        else:
            merged.div_(share.add_(1 - share.sign().square_()))
    return merged.mul_(sign)


def vote_and_merge(
    deltas: Sequence[Tensor],
    weights: Sequence[float],
    vote: Literal["mass", "count"],
    reduce: Literal["mean", "sum"],
) -> Tensor:
    """TIES' second and third step on weighted deltas [S]: elect a sign, merge those that agree."""
    total = deltas[0].clone() if vote == "mass" else deltas[0].sign()
    for delta in deltas[1:]:
        total.add_(delta if vote == "mass" else delta.sign())
    return disjoint_merge(deltas, elect_sign(total), weights, mean=reduce == "mean")


def _share(part: Tensor, weight: float) -> Tensor:
    """`weight` where part is not 0, else 0; in place."""
    part.sign_()
    return part if weight == 1 else part.mul_(weight)
