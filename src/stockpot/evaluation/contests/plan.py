"""Which ingredients are tried together, and what is refused before anything is run.

Shapes: N ingredients of a subset, K of a pool.
"""

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from math import comb

from ...core import Method
from ...errors import FieldError, MergeError, StockpotError
from ..predictions.ingredients import Ingredients
from ..scores.metrics import Metric
from .columns import Column
from .subset import Distil


@dataclass(frozen=True, slots=True, eq=False)
class SubsetPlan:
    """Pools, the counts N, how many subsets of each, and the seed that draws them.

    Raises:
        StockpotError: where these do not fit together.
    """

    pools: Sequence[Ingredients]
    counts: tuple[int, ...]
    subsets: int
    seed: int

    def __post_init__(self) -> None:
        smallest = min(len(pool) for pool in self.pools)
        within = self.counts and 1 <= min(self.counts) <= max(self.counts) <= smallest
        if self.subsets < 1 or not within:
            raise FieldError(
                f"counts must lie in 1 to {smallest}, the networks of the smallest pool, and "
                f"subsets must be at least 1; got counts={list(self.counts)}, "
                f"subsets={self.subsets}."
            )
        if len(set(self.counts)) < len(self.counts):
            raise FieldError(f"counts must differ; got {list(self.counts)}.")
        seeds = [pool.seed for pool in self.pools]
        if len(set(seeds)) < len(seeds):
            raise StockpotError(f"pools must have different seeds, or they are one; got {seeds}.")

    @property
    def most(self) -> int:
        """The largest N."""
        return max(self.counts)

    def draws(self, pool: Ingredients) -> Iterator[tuple[int, int, tuple[int, ...]]]:
        """N, which subset, and its members in the pool's order."""
        for n in self.counts:
            for subset, members in enumerate(self._subsets(pool, n)):
                yield n, subset, members

    def _subsets(self, pool: Ingredients, n: int) -> list[tuple[int, ...]]:
        """All there are where they are no more than asked for, else different ones at random."""
        everyone = range(len(pool))
        if comb(len(pool), n) <= self.subsets:
            return list(combinations(everyone, n))
        draw = random.Random(f"{self.seed}/{pool.seed}/{n}")
        found: dict[tuple[int, ...], None] = {}
        while len(found) < self.subsets:
            found[tuple(sorted(draw.sample(everyone, n)))] = None
        return list(found)

    def work(self) -> int:
        """Networks that take part in anything, counted each time."""
        return sum(len(pool) + sum(n for n, _, _ in self.draws(pool)) for pool in self.pools)


def refuse_impossible(
    plan: SubsetPlan,
    columns: Mapping[str, tuple[Column, Method | None]],
    metric: Metric,
    distil: Distil | None,
) -> None:
    """Methods that cannot be had of these pools, before a network is run.

    Raises:
        StockpotError: which method, and why.
    """
    for name, (_, method) in columns.items():
        refuse_counts(name, method, plan.counts)
        if method and method.needs.base and any(pool.base is None for pool in plan.pools):
            raise MergeError(f"{name} needs a base model, and the pools have none.")
    if "distilled" in columns and distil is None:
        raise StockpotError("distilled: give `distil=`, a function that trains the student.")
    if metric.value is None and "caruana-logits-ensemble" in columns:
        raise StockpotError(
            f"metric {metric.name} scores networks, and caruana-logits-ensemble has to "
            "score ensembles: leave it out, or choose by another metric."
        )


def refuse_counts(name: str, method: Method | None, counts: Sequence[int]) -> None:
    """A method that does not merge so many models.

    Raises:
        MergeError: how many it merges.
    """
    least, most = method.needs.models if method else (1, None)
    if min(counts) < least or (most is not None and max(counts) > most):
        raise MergeError(
            f"{name} merges {least} to {most or 'any number of'} models; counts are "
            f"{list(counts)}. Leave it out or change the counts."
        )
