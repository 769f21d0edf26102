"""Affine combinations of models, exact where the models agree.

Shapes: K models, S elements of a block.
"""

import math
from collections.abc import Iterable, Sequence

from ..lazy import Tensor, torch

_ROUNDING = 1e-12
"""Sums of K numbers such as 1/K miss 1 by less than this."""
_PARTS = 2**24
"""Up to this number every whole number is a float32."""


def affine(
    rows: Sequence[Tensor], coefficients: Sequence[float], base: Tensor | None = None
) -> Tensor:
    """`base + Σ_k c_k (row_k - base)`; without a base the coefficients must sum to 1.

    Computed as the heaviest point minus weighted differences from it, `p - Σ c_i (p - p_i)`, one
    row at a time in a fixed order. So copies of one point give it back to the last bit, a point
    of coefficient 1 among zeros is returned exactly, and nothing cancels between close models.
    Differences with one coefficient are added up before they are multiplied, and divided by n
    where it is 1/n: those of bfloat16 and float16 rows are exact then, and a result that lies half
    way between two of their numbers is found there.

    Args:
        rows: K tensors of one shape [S] and dtype.
        coefficients: K finite numbers.
        base: takes the coefficient `1 - Σ c`.

    Returns:
        A new tensor [S].
    """
    rest = 1.0 - math.fsum(coefficients)
    heaviest = max(range(len(rows)), key=coefficients.__getitem__)
    if base is None or abs(rest) < _ROUNDING:
        anchored_on_base, anchor = False, rows[heaviest]
    else:
        anchored_on_base = rest >= coefficients[heaviest]
        anchor = base if anchored_on_base else rows[heaviest]
    alike: dict[float, list[tuple[Sequence[Tensor], int]]] = {}
    for k, coefficient in enumerate(coefficients):
        if coefficient != 0 and (anchored_on_base or k != heaviest):
            alike.setdefault(coefficient, []).append((rows, k))
    if base is not None and not anchored_on_base and abs(rest) >= _ROUNDING:
        alike.setdefault(rest, []).append(([base], 0))
    out: Tensor | None = None
    moved: Tensor | None = None
    for coefficient, points in alike.items():
        moved = _scaled(_added(anchor, points, moved), coefficient)
        if out is None:
            out, moved = torch.sub(anchor, moved, out=moved), None
        else:
            out.sub_(moved)
    return anchor.clone() if out is None else out


def _added(
    anchor: Tensor, points: Sequence[tuple[Sequence[Tensor], int]], memory: Tensor | None
) -> Tensor:
    """`Σ (anchor - p)`, in `memory` where there is some."""
    (rows, k), *others = points
    total = torch.sub(anchor, rows[k], out=memory)
    difference: Tensor | None = None
    for rows, k in others:
        difference = torch.sub(anchor, rows[k], out=difference)
        total.add_(difference)
    return total


def _scaled(values: Tensor, coefficient: float) -> Tensor:
    """Times the coefficient, in place: a fused product would round differently in a vector's tail.

    1/n has no exact float32, n has.
    """
    if coefficient == 1:
        return values
    if abs(coefficient) * _PARTS >= 1:
        whole = round(1 / coefficient)
        if abs(whole * coefficient - 1) < _ROUNDING:
            return values.div_(whole)
    return values.mul_(coefficient)


def overshoot(scale: float, weights: tuple[float, ...]) -> Sequence[str]:
    """A warning where scale times the sum of weights exceeds 1: shared change is then amplified."""
    reach = scale * math.fsum(weights)
    if reach <= 1 + 1e-9:
        return ()
    return (
        f"scale × sum of weights is {reach:.3g}, above 1: what the models changed alike is "
        f"amplified; scale {1 / math.fsum(weights):.3g} would average them.",
    )


def weighed(
    rows: Sequence[Tensor], weights: Sequence[float], importance: Iterable[Tensor]
) -> Tensor:
    """`Σ_k w_k F_k row_k / Σ_k w_k F_k` element by element; a new tensor [S].

    Computed as the heaviest row minus weighed differences from it, so that copies of one row give
    it back to the last bit.

    Args:
        rows: K tensors of one shape [S] and dtype.
        weights: K numbers of 0 or more, one of them more.
        importance: F_k, K positive tensors [S]; each is asked for once, in order.
    """
    heaviest = max(range(len(rows)), key=weights.__getitem__)
    anchor = rows[heaviest]
    moved, total = torch.zeros_like(anchor), torch.zeros_like(anchor)
    for k, share in enumerate(importance):
        if weights[k] == 0:
            continue
        share = share * weights[k]
        total.add_(share)
        if k != heaviest:
            moved.add_(share.mul_(anchor - rows[k]))
    return anchor - moved.div_(total)


def weighted_sum(rows: Sequence[Tensor], coefficients: Sequence[float]) -> Tensor:
    """`Σ_k c_k row_k`, [S], added one row at a time in order."""
    out = rows[0] * coefficients[0]
    for k in range(1, len(rows)):
        out.add_(rows[k] * coefficients[k])
    return out


def median(rows: Sequence[Tensor]) -> Tensor:
    """Element-wise median, [S]; for an even number of rows the mean of the middle two."""
    return trimmed_mean(rows, (len(rows) - 1) // 2)


def trimmed_mean(rows: Sequence[Tensor], cut: int) -> Tensor:
    """Element-wise mean without the `cut` smallest and the `cut` largest of the rows, [S].

    An odd-even transposition network of minima and maxima: K(K-1)/2 exchanges, all vectorised, the
    same bits for any slicing.
    """
    ordered = [row.clone() for row in rows]
    count = len(ordered)
    for step in range(count):
        for i in range(step % 2, count - 1, 2):
            low = ordered[i].minimum(ordered[i + 1])
            ordered[i + 1] = ordered[i].maximum(ordered[i + 1])
            ordered[i] = low
    kept = ordered[cut : count - cut]
    return affine(kept, [1 / len(kept)] * len(kept)) if len(kept) > 1 else kept[0]
