"""One budget for every merge method of a comparison: each is tuned before it is judged."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from ...core import Method
from ...recipes.reading.searching import Budget, defaults_of, usual_fields
from ...recipes.reading.space import Candidate, Space
from ..results.comparison import Attempt
from .search import GIVEN, Search, attempts_of, best_of

DEFAULTS = "defaults"


@dataclass(frozen=True, slots=True, eq=False)
class Tuning:
    """How methods are tuned, and what was tried.

    Attributes:
        budget: trials, sampler and seed, the same for each.
        attempts: of every method, count, subset and pool so far.
    """

    budget: Budget
    attempts: list[Attempt] = field(default_factory=list[Attempt])

    def tune(
        self,
        name: str,
        method: Method,
        score: Callable[[Method], float],
        *,
        count: int,
        sign: int,
        place: Mapping[str, Any],
    ) -> Method:
        """The method with the fields that score best on the selection split.

        Its usual fields are searched, around the value as it was given; weights are not. The
        defaults are tried too. A method without such fields is given back as it is.

        Args:
            name: in tables.
            method: as it was given; it is tried first.
            score: of a method on the selection split, larger is better.
            count: models that are merged.
            sign: the metric's.
            place: further fields of the attempts: subset, seed, network, data.
        """
        if not is_tuned(method):
            return method
        search = Search(
            space=Space(Candidate(method), usual_fields(method), count),
            starts={GIVEN: Candidate(method), DEFAULTS: Candidate(defaults_of(method))},
            budget=_fitted(self.budget, method),
        )
        tried = search.run(lambda candidate: score(candidate.method))
        self.attempts.extend(attempts_of(name, search, tried, sign, **place))
        return best_of(tried).candidate.method

    @property
    def facts(self) -> tuple[tuple[str, str], ...]:
        """What a reader must know of it."""
        one = self.budget
        said = (
            f"each merge method that has fields: {one.trials} trials by {one.sampler}, seed "
            f"{one.seed}, on the selection split, for each N, subset and pool by itself"
        )
        return (("tuned", said),)


def is_tuned(method: Method) -> bool:
    """Whether the method has any field to tune."""
    return bool(usual_fields(method))


def tuned_name(name: str, method: Method, budget: Budget | None) -> str:
    """What a method is called in tables: whether it was tuned, and how much.

    Example:
        >>> from stockpot.methods import Average, Ties
        >>> [tuned_name(n, m, Budget()) for n, m in (("ties", Ties()), ("average", Average()))]
        ['ties (tuned, 20 trials)', 'average']
    """
    if budget is None or not is_tuned(method):
        return name
    return f"{name} (tuned, {budget.trials} trials)"


def _fitted(budget: Budget, method: Method) -> Budget:
    """CMA-ES adapts to two fields or more; to one, TPE does."""
    single = len(usual_fields(method)) < 2
    return replace(budget, sampler="tpe") if budget.sampler == "cma-es" and single else budget
