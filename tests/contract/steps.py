"""A method's three steps by hand, without the engine."""

import math
from collections.abc import Sequence
from dataclasses import replace
from functools import reduce

import torch
from torch import Tensor

from stockpot.asides import Note, Where
from stockpot.core import Facts, Method, Reach, Settled, Stack

from ..cases import Case


def stack_of(
    case: Case, name: str, start: int = 0, stop: int | None = None, seed: int = 0
) -> Stack:
    """Elements [start, stop) of one tensor as a method sees them; a whole one in its own shape."""
    whole = case.method.needs.whole
    rows = [_seen(model[name], start, stop, whole) for model in case.models]
    dtype = torch.promote_types(rows[0].dtype, torch.float32)
    weights = case.weights or [1.0] * len(rows)
    if case.method.needs.weights == "mean":
        weights = [weight / math.fsum(weights) for weight in weights]
    return Stack(
        models=[row.to(dtype) for row in rows],
        weights=tuple(weights),
        base=None if case.base is None else _seen(case.base[name], start, stop, whole).to(dtype),
        statistics={
            statistic.name: [_seen(one[name], start, stop, whole).to(dtype) for one in case.of_data]
            for statistic in case.method.needs.statistics
        },
        name=name,
        start=start,
    )


def _seen(tensor: Tensor, start: int, stop: int | None, whole: bool) -> Tensor:
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


class Telling:
    """Keeps what a map tells and gives of one block."""

    def __init__(self) -> None:
        self.notes: dict[str, Where | Note] = {}
        self.given: dict[tuple[str, int | None], Tensor] = {}

    def tell(self, name: str, what: Where | Note) -> None:
        self.notes[name] = what

    def give(self, name: str, values: Tensor, model: int | None) -> None:
        assert (name, model) not in self.given
        self.given[name, model] = values.clone()


def told_of(method: Method, stack: Stack) -> dict[str, object]:
    """What a map of a whole tensor tells, as merge.json has it."""
    aside = Telling()
    method(replace(stack, aside=aside), None)
    return {name: what.plain for name, what in aside.notes.items() if not isinstance(what, Where)}
