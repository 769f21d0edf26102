"""All columns of the paper's table for one pool whose ingredients are disturbed, size by size.

Every disturbed network is run once over the test split in each arithmetic; ensembles are made of
what was kept.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal, cast

import torch
from torch import Tensor, nn

from ...errors import StockpotError
from ...evaluation.choices.greedy import greedy_members
from ...evaluation.choices.soups import soup
from ...evaluation.predictions.ensembles import (
    average_head,
    features_ensemble,
    logits_ensemble,
    probabilities_ensemble,
    temperature_ensemble,
)
from ...evaluation.predictions.ingredients import Ingredients
from ...evaluation.predictions.predict import Predictions, predict
from ...evaluation.scores.metrics import METRICS
from ...evaluation.scores.singles import Singles, run_singles
from ...networks import Headed
from .carried import Carried, CarriedRun, carried_head, comparable, run_carried
from .overflow import subject_in_float64
from .perturbing import Perturbation
from .walking import Plan

Arithmetic = Literal["float32", "float64", "carried"]
ARITHMETICS: tuple[Arithmetic, ...] = ("float32", "float64", "carried")

COLUMNS = (
    "single-mean",
    "uniform-soup",
    "greedy-soup",
    "logits-ensemble",
    "features-ensemble",
    "features-ensemble-first-head",
    "greedy-logits-ensemble",
    "greedy-features-ensemble",
    "probabilities-ensemble",
    "temperature-ensemble",
)
"""Of every size; single networks at the neutral size stand beside them."""


@dataclass(frozen=True, slots=True, eq=False)
class Outcome:
    """What one column says about each sample of the test split, [N] each.

    Attributes:
        correct: 1 or 0, or for single networks their mean; what is not finite is wrong.
        published: the same with torch.max's classes, for which NaN is the largest number.
        finite: whether the output is.
    """

    correct: Tensor
    published: Tensor
    finite: Tensor


@dataclass(frozen=True, eq=False, kw_only=True)
class Bowl:
    """A pool with what is the same for all disturbances and sizes.

    Attributes:
        pool: the ingredients, in memory.
        counts: numbers of ingredients, the first so many each.
        seed: of noise.
    """

    pool: Ingredients
    counts: tuple[int, ...]
    seed: int

    @cached_property
    def subjects(self) -> list[Headed]:
        """Every ingredient with its head."""
        return [self.pool.headed(self.pool.network(i)) for i in range(len(self.pool))]

    @cached_property
    def singles(self) -> Singles:
        """Every ingredient as it is, over the selection split."""
        return run_singles(self.pool, splits=("selection",))

    @cached_property
    def plan(self) -> Plan[Carried] | None:
        """The network's parts, or None where exponents cannot be carried through one."""
        try:
            return Plan[Carried](self.subjects[0].network, self.subjects[0].name)
        except StockpotError:
            return None

    @cached_property
    def greedy(self) -> Mapping[int, tuple[int, ...]]:
        """The members of the greedy soup of the first n, chosen with networks as they are."""
        scores = self.singles.scores(METRICS["accuracy"])
        seen: dict[frozenset[int], float] = {}

        def score(members: tuple[int, ...]) -> float:
            key = frozenset(members)
            if key not in seen:
                network = soup(self.pool, members)
                seen[key] = float(predict(network, self.pool.splits.selection).correct().mean())
            return seen[key]

        return {
            n: greedy_members({i: scores[i] for i in range(n)}, score).members for n in self.counts
        }

    @cached_property
    def soups(self) -> dict[tuple[int, ...], nn.Module]:
        """Averages of ingredients as they are."""
        wanted = [tuple(range(n)) for n in self.counts] + list(self.greedy.values())
        return {members: soup(self.pool, members) for members in wanted}


def outcomes(
    bowl: Bowl, how: Perturbation, size: float, arithmetic: Arithmetic
) -> Iterator[tuple[int, str, Outcome]]:
    """(n, column, outcome) of every column at one size.

    Raises:
        StockpotError: exponents cannot be carried through the network.
    """
    subjects = bowl.subjects
    disturbed = [how.apply(one, size, i, bowl.seed) for i, one in enumerate(subjects)]
    held = replace(bowl.pool, sources=disturbed, base=None)
    run = _runner(bowl, how, size, arithmetic)
    members = [run(i, disturbed[i]) for i in range(len(subjects))]
    made: dict[tuple[int, ...], Outcome] = {}

    def souped(chosen: tuple[int, ...]) -> Outcome:
        if chosen not in made:
            network = bowl.soups[chosen] if how.commutes else soup(held, chosen)
            made[chosen] = _judged(_seen([run(None, network)])[0])
        return made[chosen]

    heads = [subjects[0].on(one).head for one in disturbed]
    if how.commutes and arithmetic != "float32":  # as the wide networks have them
        wide = [subject_in_float64(one) for one in subjects]
        heads = [subjects[0].on(how.apply(one, size, 0, bowl.seed)).head for one in wide]

    def head_of(chosen: Sequence[int]) -> Callable[[Tensor], Tensor]:
        head = cast(nn.Linear, average_head([heads[i] for i in chosen]))
        if arithmetic == "carried":
            return carried_head(head)
        return head.double() if arithmetic == "float64" else head

    alone = [_judged(_seen([one])[0]) for one in members]
    for n in bowl.counts:
        everyone, chosen = tuple(range(n)), bowl.greedy[n]
        seen = _seen(members[:n])
        picked = _seen([members[i] for i in chosen])
        yield n, "single-mean", _mean(alone[:n])
        yield n, "uniform-soup", souped(everyone)
        yield n, "greedy-soup", souped(chosen)
        yield n, "logits-ensemble", _judged(logits_ensemble(seen))
        yield n, "features-ensemble", _judged(features_ensemble(seen, head_of(everyone)))
        first = features_ensemble(seen, head_of((0,)))
        yield n, "features-ensemble-first-head", _judged(first)
        yield n, "greedy-logits-ensemble", _judged(logits_ensemble(picked))
        greedy = features_ensemble(picked, head_of(chosen))
        yield n, "greedy-features-ensemble", _judged(greedy)
        if arithmetic != "carried":  # probabilities need the true size of logits
            yield n, "probabilities-ensemble", _judged(probabilities_ensemble(seen))
            scales = [bowl.singles.temperatures[i] for i in everyone]
            yield n, "temperature-ensemble", _judged(temperature_ensemble(seen, scales))


Run = Predictions | CarriedRun


def _runner(
    bowl: Bowl, how: Perturbation, size: float, arithmetic: Arithmetic
) -> Callable[[int | None, nn.Module], Run]:
    """Runs an ingredient that was disturbed, or a soup, over the test split.

    In the wider arithmetics what commutes with averaging is done in float64, or the factor itself
    would overflow float32.
    """
    first, test = bowl.subjects[0], bowl.pool.splits.test

    def wide(index: int | None, network: nn.Module) -> Headed:
        if not how.commutes:
            return subject_in_float64(first.on(network))
        own = subject_in_float64(first.on(network) if index is None else bowl.subjects[index])
        return own.on(how.apply(own, size, 0, bowl.seed))

    def run(index: int | None, network: nn.Module) -> Run:
        if arithmetic == "float32":
            plain = index is None and how.commutes
            mine = how.apply(first.on(network), size, 0, bowl.seed) if plain else network
            return predict(first.on(mine), test)
        if arithmetic == "float64":
            return predict(_InFloat64.of(wide(index, network)), test)
        if bowl.plan is None:
            raise StockpotError("exponents cannot be carried through this network.")
        return run_carried(bowl.plan, wide(index, network), test)

    return run


class _InFloat64(nn.Module):
    """A network in float64 that takes float32 inputs."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, inputs: Tensor) -> Tensor:
        return cast(Tensor, self.inner(inputs.double() if inputs.is_floating_point() else inputs))

    @classmethod
    def of(cls, subject: Headed) -> Headed:
        return Headed(cls(subject.network).eval(), subject.head)


def _seen(runs: Sequence[Run]) -> list[Predictions]:
    """Predictions that can be averaged."""
    carried = [one for one in runs if isinstance(one, CarriedRun)]
    return comparable(carried) if carried else [o for o in runs if isinstance(o, Predictions)]


def _judged(seen: Predictions) -> Outcome:
    published = (
        ((seen.logits > 0) == seen.labels).double().mean(dim=1)
        if seen.is_multilabel
        else (seen.logits.max(dim=1).indices == seen.labels).double()
    )
    return Outcome(seen.correct(), published, seen.finite())


def _mean(alone: Sequence[Outcome]) -> Outcome:
    return Outcome(
        torch.stack([one.correct for one in alone]).mean(dim=0),
        torch.stack([one.published for one in alone]).mean(dim=0),
        torch.stack([one.finite.double() for one in alone]).mean(dim=0),
    )
