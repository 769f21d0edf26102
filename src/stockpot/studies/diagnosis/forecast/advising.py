"""How often a recommended merge is nearly the best of its pool."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from .held_out import Guess
from .scoring import MODEL, RESAMPLES, same_origin

POINT = 0.01
"""Of balanced accuracy."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Advice:
    """A rule that recommends one merge of each pool.

    Attributes:
        rule: its name.
        within: share of pools whose recommended merge is within one point of the pool's best.
        low, high: the 95% interval by resampling pools.
        regret: mean difference to the best, in balanced accuracy.
        pools: how many.
        among: "all" pools, or those of the "same origin".
    """

    rule: str
    among: str
    within: float
    low: float
    high: float
    regret: float
    pools: int


def advise(found: Sequence[Guess]) -> list[Advice]:
    """The forecast's advice, beside always averaging and the method that is best on average."""
    rules: tuple[tuple[str, Callable[[Guess], float]], ...] = (
        (MODEL, lambda one: one.quality),
        ("always average, mended", lambda one: _is_average(one) + 0.5 * one.merge.mended),
        ("best mean per method", lambda one: one.baselines[0]),
    )
    told = list[Advice]()
    for among, those in (("all", found), ("same origin", same_origin(found))):
        groups = dict[str, list[Guess]]()
        for one in those:
            groups.setdefault(one.merge.pool.pool, []).append(one)
        for rule, key in rules:
            lost = np.asarray([_regret(group, key) for group in groups.values()])
            near = (lost <= POINT + 1e-9).astype(float)
            random = np.random.default_rng(0)
            drawn = near[random.integers(len(near), size=(RESAMPLES, len(near)))].mean(axis=1)
            low, high = np.quantile(drawn, (0.025, 0.975))
            told.append(
                Advice(
                    rule=rule,
                    among=among,
                    within=float(near.mean()),
                    low=float(low),
                    high=float(high),
                    regret=float(lost.mean()),
                    pools=len(near),
                )
            )
    return told


def _is_average(one: Guess) -> float:
    return float(one.merge.method == "average")


def _regret(group: Sequence[Guess], key: Callable[[Guess], float]) -> float:
    best = max(one.merge.score for one in group)
    return best - max(group, key=key).merge.score
