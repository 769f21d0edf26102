"""Where float32 is full for the networks of one pool, and the factors of the study around it."""

import math
from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from ...networks import Headed
from .carried import run_carried
from .magnifying import Bowl
from .overflow import observed_overflow, predicted_overflow
from .perturbing import magnified
from .result import Overflow
from .walking import Plan

FACTORS = 12
LOOKED_AT = 256
"""Samples that overflow is looked for on."""


def overflows_of(bowl: Bowl) -> Iterator[Overflow]:
    """Of the first ingredient, of the soup of all, and of the ensemble."""
    n, seed = bowl.counts[-1], bowl.pool.seed
    predict = _predictor(bowl)
    members = [predict(one) for one in bowl.subjects[:n]]
    whole = bowl.subjects[0].on(bowl.soups[tuple(range(n))])
    observed = _observer(bowl)
    first = bowl.subjects[0]
    yield Overflow(pool=seed, of="single", predicted=members[0], observed=observed(first))
    yield Overflow(pool=seed, of="soup", predicted=predict(whole), observed=observed(whole))
    yield Overflow(pool=seed, of="ensemble", predicted=min(members), observed=math.nan)


def _predictor(bowl: Bowl) -> Callable[[Headed], float]:
    inputs = bowl.pool.splits.train.batch(slice(0, LOOKED_AT))
    if bowl.plan is None:
        return lambda _subject: math.nan
    plan = Plan[float](bowl.subjects[0].network, bowl.subjects[0].name)
    return lambda subject: predicted_overflow(plan, subject.network, inputs)


def _observer(bowl: Bowl, share: float = 0.5) -> Callable[[Headed], float]:
    """Looks on the selection split; only where exponents can be carried is there a reference."""
    selection = bowl.pool.splits.selection
    some = selection.take(torch.arange(min(len(selection), LOOKED_AT)))
    plan = bowl.plan
    if plan is None or some.is_multilabel:
        return lambda _subject: math.nan

    def exact(wide: Headed) -> Tensor:
        return run_carried(plan, wide, some).logits.values.argmax(dim=1)

    return lambda subject: observed_overflow(
        subject, some, lambda one, factor: magnified(one.network, factor), exact, share
    )


def grid_of(bowl: Bowl) -> tuple[float, ...]:
    """Twelve factors: 1, two on the way, seven across the overflow, two beyond.

    It begins where the first ingredient loses 2% of its outputs and ends where the soup has lost
    98%; without a reference arithmetic it is the powers of 10 to 10^11.
    """
    first = _observer(bowl, 0.02)(bowl.subjects[0])
    whole = bowl.subjects[0].on(bowl.soups[tuple(range(bowl.counts[-1]))])
    last = _observer(bowl, 0.98)(whole)
    last = _observer(bowl, 0.5)(whole) if not math.isfinite(last) else last
    if not (math.isfinite(first) and math.isfinite(last)):
        return tuple(10.0**power for power in range(FACTORS))
    low, high = 0.92 * first, 1.08 * max(last, first)
    middle = [low * (high / low) ** (step / 6) for step in range(7)]
    ways = [1.0, first ** (1 / 3), first ** (2 / 3), *middle, 1.5 * high, 3 * high]
    return tuple(float(f"{max(one, 1.0):.4g}") for one in ways)
