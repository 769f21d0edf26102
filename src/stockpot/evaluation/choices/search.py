"""Searching a space of candidates by a score, with Optuna; what was tried survives in a journal.

The starts are scored first, then what the sampler draws. A sampler is made anew for each trial from
the search's seed and the number of trials before it; all else that it knows, it reads from those
trials. So a search that was broken off goes on to the trials that it would have had unbroken.
"""

import math
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from blake3 import blake3

from ...errors import FieldError, MergeError, NonFiniteError, OutputError
from ...libraries import optional
from ...methods.catalogue import plain_method, read_method
from ...recipes.reading.searching import Budget
from ...recipes.reading.space import Candidate, Choices, Range, Space, Value
from ..results.comparison import Attempt

GIVEN = "given"
"""The origin of the method as it was given."""

WORST = -math.inf

Score = Callable[[Candidate], float]
"""Of a candidate on the selection split; larger is better."""

Told = Callable[[int, float], None]
"""Called with how many candidates are scored and the best score so far."""


@dataclass(frozen=True, slots=True)
class ScoredCandidate:
    """One candidate that was scored.

    Attributes:
        number: which, from 0.
        origin: the start that it is, or the sampler that drew it.
        candidate: the method and the weights.
        score: larger is better; -∞ for one that cannot be merged, or whose score is no number.
        problem: why it has no score.
    """

    number: int
    origin: str
    candidate: Candidate
    score: float
    problem: str = ""


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Search:
    """What is searched, and how.

    Attributes:
        space: the axes.
        starts: candidates that are scored first, by what they are called; equal ones once. They
            need not lie in the space; those that do, the sampler learns from.
        budget: how many candidates are scored, and how they are drawn.

    Raises:
        FieldError: there is nothing to search, or the sampler cannot search it.
    """

    space: Space
    starts: Mapping[str, Candidate]
    budget: Budget
    _grid: list[dict[str, Value]] = field(default_factory=list[dict[str, Value]])

    def __post_init__(self) -> None:
        parameters = self.space.parameters
        if not parameters:
            raise FieldError(
                "there is nothing to search: the method has no field that is usually searched, and "
                "its weights do not count. Name axes under search:."
            )
        continuous = [one for one in parameters.values() if isinstance(one, Range)]
        if self.budget.sampler == "cma-es" and len(continuous) < 2:
            raise FieldError(
                f"cma-es needs two or more ranges to adapt to; {', '.join(parameters)} has "
                f"{len(continuous)}. Use tpe, random or grid."
            )
        if self.budget.sampler == "grid":
            self._grid.extend(self.space.grid(self.budget.seed, self.budget.trials))

    def run(
        self, score: Score, *, journal: Path | None = None, told: Told | None = None
    ) -> tuple[ScoredCandidate, ...]:
        """Score starts and trials, those that a journal has already not again.

        Args:
            score: asked once for each different candidate. A sampled one whose merge is refused,
                or not finite, has the worst score; a start that is refused ends the search.
            journal: file that keeps every trial; without one they are in memory.
            told: called after each candidate.

        Raises:
            OutputError: the journal cannot be read or written.
            StockpotError: as `score`, for a start.
        """
        with _log(self.space, journal) as log:
            return self._run(log, score, told)

    def _run(self, log: "_Log", score: Score, told: Told | None) -> tuple[ScoredCandidate, ...]:
        budget, tried = self.budget, log.tried()
        known = {one.candidate: (one.score, one.problem) for one in tried}

        def note(one: ScoredCandidate) -> None:
            known[one.candidate] = one.score, one.problem
            tried.append(one)
            if told:
                told(len(tried), max(each.score for each in tried))

        for name, candidate in self.starts.items():
            if len(tried) < budget.trials and candidate not in known:
                found = _finite(score(candidate))
                note(log.put(ScoredCandidate(len(tried), name, candidate, found)))
        if budget.sampler == "grid":
            for candidate in map(self.space.at, self._grid):
                if len(tried) < budget.trials and candidate not in known:
                    found, problem = _attempt(score, candidate)
                    note(log.put(ScoredCandidate(len(tried), "grid", candidate, found, problem)))
            return tuple(tried)
        while len(tried) < budget.trials:
            trial = log.ask(_sampler(budget, len(tried)))
            candidate = self.space.at(trial.params)
            found, problem = known.get(candidate) or _attempt(score, candidate)
            one = ScoredCandidate(len(tried), budget.sampler, candidate, found, problem)
            note(log.tell(trial, one))
        return tuple(tried)


def best_of(tried: Sequence[ScoredCandidate]) -> ScoredCandidate:
    """The first of those with the highest score."""
    return max(tried, key=lambda one: one.score)


def attempts_of(
    method: str, search: Search, tried: Sequence[ScoredCandidate], sign: int, **place: Any
) -> tuple[Attempt, ...]:
    """What was tried, as tables have it.

    Args:
        method: what tables call it.
        search: which search.
        tried: what it tried.
        sign: the metric's.
        place: further fields of `Attempt`, such as the pool's seed.
    """
    best, found = WORST, list[Attempt]()
    for one in tried:
        found.append(
            Attempt(
                method=method,
                number=one.number,
                origin=one.origin,
                score=sign * one.score,
                leads=one.score > best,
                values=tuple(one.candidate.values(list(search.space.axes)).items()),
                problem=one.problem,
                n=search.space.count,
                **place,
            )
        )
        best = max(best, one.score)
    return tuple(found)


def _finite(score: float) -> float:
    return score if math.isfinite(score) else WORST


def _attempt(score: Score, candidate: Candidate) -> tuple[float, str]:
    """A candidate that cannot be had is the worst, and says why."""
    try:
        found = score(candidate)
    except (MergeError, NonFiniteError) as error:
        return WORST, str(error)
    return (found, "") if math.isfinite(found) else (WORST, f"the score is {found}")


@dataclass(frozen=True, slots=True, eq=False)
class _Log:
    """A study of Optuna, as a list of what was tried.

    The study itself is in memory. A journal gets a trial when it is finished, and all at once: so
    none is ever half there, and trials have the numbers, from which samplers draw, that they would
    have had without a break.
    """

    study: Any
    journal: Any
    space: Space

    def tried(self) -> list[ScoredCandidate]:
        """Everything that the journal has."""
        if self.journal is None:
            return []
        trials = self.journal.get_trials(deepcopy=False)
        self.study.add_trials(trials)
        outside = cast(Mapping[str, Any], self.journal.user_attrs)
        kept = [one for name, one in outside.items() if name.startswith(_KEPT)]
        found = [_restored(one) for one in (*kept, *(one.user_attrs[_KEPT] for one in trials))]
        return sorted(found, key=lambda one: one.number)

    def put(self, one: ScoredCandidate) -> ScoredCandidate:
        """Note what no sampler drew: as a trial where the space has it, else beside them."""
        point = self.space.point_of(one.candidate)
        if point is not None:
            trial = optional("optuna", "search").trial.create_trial(
                value=one.score,
                params=point,
                distributions=self._distributions(),
                user_attrs={_KEPT: _plain(one)},
            )
            self.study.add_trial(trial)
            self._keep()
        elif self.journal is not None:
            with _writing():
                self.journal.set_user_attr(f"{_KEPT} {one.number}", _plain(one))
        return one

    def ask(self, sampler: Any) -> Any:
        """A new trial of a sampler."""
        self.study.sampler = sampler
        return self.study.ask(self._distributions())

    def tell(self, trial: Any, one: ScoredCandidate) -> ScoredCandidate:
        """Finish a trial."""
        trial.set_user_attr(_KEPT, _plain(one))
        self.study.tell(trial, one.score)
        self._keep()
        return one

    def _keep(self) -> None:
        if self.journal is None:
            return
        with _writing():
            self.journal.add_trial(self.study.get_trials(deepcopy=False)[-1])

    def _distributions(self) -> dict[str, Any]:
        return {name: _distribution(one) for name, one in self.space.parameters.items()}


_KEPT = "tried"


def _plain(one: ScoredCandidate) -> dict[str, Any]:
    method, weights = one.candidate.method, one.candidate.weights
    return {
        "number": one.number,
        "origin": one.origin,
        "method": plain_method(method),
        "weights": None if weights is None else list(weights),
        "score": one.score,
        "problem": one.problem,
    }


def _restored(kept: Mapping[str, Any]) -> ScoredCandidate:
    weights = kept["weights"]
    candidate = Candidate(read_method(kept["method"]), None if weights is None else tuple(weights))
    return ScoredCandidate(
        kept["number"], kept["origin"], candidate, kept["score"], kept["problem"]
    )


def _distribution(one: Range | Choices) -> Any:
    kinds = optional("optuna", "search").distributions
    if isinstance(one, Choices):
        return kinds.CategoricalDistribution(one.values)
    if one.whole:
        return kinds.IntDistribution(int(one.low), int(one.high), log=one.log)
    return kinds.FloatDistribution(one.low, one.high, log=one.log)


def _sampler(budget: Budget, number: int) -> Any:
    samplers = optional("optuna", "search").samplers
    own = int.from_bytes(blake3(f"{budget.seed}/{number}".encode()).digest(4), "little")
    if budget.sampler == "cma-es":
        optional("cmaes", "search")
        return samplers.CmaEsSampler(seed=own, warn_independent_sampling=False)
    return {"tpe": samplers.TPESampler, "random": samplers.RandomSampler}[budget.sampler](seed=own)


@contextmanager
def _log(space: Space, journal: Path | None) -> Generator[_Log]:
    """The log, new or as the journal has it; Optuna's own messages are silent meanwhile."""
    optuna = optional("optuna", "search")
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)

    def study(storage: Any) -> Any:
        return optuna.create_study(
            storage=storage, study_name="stockpot", direction="maximize", load_if_exists=True
        )

    try:
        with _writing():
            kept = None if journal is None else study(_storage(optuna, journal))
        yield _Log(study(None), kept, space)
    finally:
        optuna.logging.set_verbosity(before)


@contextmanager
def _writing() -> Generator[None]:
    try:
        yield
    except OSError as error:
        raise OutputError(f"cannot keep the search's journal: {error}.") from None
    except (ValueError, KeyError, TypeError):
        raise OutputError(
            "journal.log is no journal of a search: use --overwrite, or another --out."
        ) from None


def _storage(optuna: Any, journal: Path) -> Any:
    if journal.exists():
        _mend(journal)
    backend = optional("optuna.storages.journal", "search").JournalFileBackend(str(journal))
    return optuna.storages.JournalStorage(backend)


def _mend(journal: Path) -> None:
    """Cut off a last line that a kill left half written: what follows it would be unreadable."""
    with journal.open("r+b") as file:
        content = file.read()
        file.truncate(content.rfind(b"\n") + 1)
