"""One tensor out of several candidates, element by element, two of them in memory at a time.

Shapes: J candidates, S elements of a block.
"""

from collections.abc import Sequence
from dataclasses import replace

from ..core import Stack
from ..lazy import Tensor, torch

RUN, STRIDE = 128, 2**13


def choose(points: Sequence[Tensor], draw: Tensor) -> Tensor:
    """For each element that of one candidate: of number `floor(J · draw)`; a new tensor [S].

    Args:
        points: J tensors [S]; each is asked for once.
        draw: float32 [S], uniform in [0, 1).
    """
    # Never J itself: J (1 - 2^-24) is nearer to the float below J, whatever J.
    which = (draw * len(points)).floor_()
    out = points[0]
    for j in range(1, len(points)):
        out = torch.where(which == j, points[j], out)
    return out


def farthest(points: Sequence[Tensor], origin: Tensor) -> Tensor:
    """For each element that of the candidate farthest from `origin`; a new tensor [S].

    Of two that are equally far, the larger.

    Args:
        points: J tensors [S]; each is asked for once.
        origin: [S].
    """
    out = points[0]
    change = out - origin
    for j in range(1, len(points)):
        point = points[j]
        other = point - origin
        size, least = other.abs(), change.abs()
        better = (size > least).logical_or_((size == least).logical_and_(other > change))
        out = torch.where(better, point, out)
        change = torch.where(better, other, change)
    return out


def every_so_many(stack: Stack) -> Stack:
    """A sample of a block: the first RUN elements of each STRIDE."""

    def some(row: Tensor) -> Tensor:
        flat = row.reshape(-1)
        starts = range(0, max(flat.numel(), 1), STRIDE)
        return torch.cat([flat[start : start + RUN] for start in starts])

    models = [some(row) for row in stack.models]
    base = None if stack.base is None else some(stack.base)
    runs = len(range(0, max(stack.models[0].numel(), 1), STRIDE))
    return replace(stack, models=models, base=base, runs=runs, fresh=True)
