"""A method's three steps by hand, without the engine."""

import math
from collections.abc import Sequence
from functools import reduce

import torch
from torch import Tensor

from ..core import Facts, Method, Reach, Settled, Stack
from .cases import Case


def stack_of(case: Case, name: str, start: int = 0, stop: int | None = None) -> Stack:
    """Elements [start, stop) of one tensor as a method sees them; a whole one in its own shape."""
    whole = case.method.needs.whole
    rows = [_seen(model[name], start, stop, whole=whole) for model in case.models]
    dtype = torch.promote_types(rows[0].dtype, torch.float32)
    weights = case.weights or [1.0] * len(rows)
    if case.method.needs.weights == "mean":
        weights = [weight / math.fsum(weights) for weight in weights]
    base = None if case.base is None else _seen(case.base[name], start, stop, whole=whole)
    return Stack(
        models=[row.to(dtype) for row in rows],
        weights=tuple(weights),
        base=None if base is None else base.to(dtype),
        statistics={
            statistic.name: [
                _seen(one[name], start, stop, whole=whole).to(dtype) for one in case.of_data
            ]
            for statistic in case.method.needs.statistics
            if statistic.axes is None
        },
        name=name,
        start=start,
    )


def _seen(tensor: Tensor, start: int, stop: int | None, *, whole: bool) -> Tensor:
    return tensor if whole else tensor.reshape(-1)[start:stop]


def settled_from(method: Method, stacks: Sequence[Stack], order: Sequence[int]) -> Settled | None:
    """What is settled from disjoint blocks whose facts join in this order."""
    if method.needs.reach is Reach.ELEMENT:
        return None
    hint: Settled | None = None
    while hint is None or not hint.final:
        found = [method.survey(stack, hint) for stack in stacks]
        hint = method.settle(reduce(_join, [found[i] for i in order]).close(), hint)
    return hint


def _join(one: Facts, other: Facts) -> Facts:
    return one.join(other)
