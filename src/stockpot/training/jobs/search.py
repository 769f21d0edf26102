"""Weights and fields of a recipe, searched on an experiment's data and judged once."""

import json
import os
import shutil
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

from ...engine.merge import run_recipe
from ...engine.options import Options
from ...errors import FieldError, OutputError, StockpotError
from ...evaluation.choices.search import WORST, ScoredCandidate, Search, attempts_of, best_of
from ...evaluation.contests.provenance import contest_provenance
from ...evaluation.results.comparison import Comparison
from ...experiments.experiment import Experiment, parse_experiment, read_experiment
from ...factors.sharing import factoring_of
from ...libraries import optional
from ...methods import Average
from ...networks import has_batch_norm
from ...recipes.reading.recipe import Recipe, parse_recipe, read_recipe
from ...recipes.reading.searching import ONE_SEARCH, Budget, Searched, defaults_of, space_of
from ...recipes.reading.space import Candidate
from ...recipes.reading.yaml import dump_yaml
from ...values.bars import Bar, bar_for
from ...values.differences import first_differences
from ...values.fields import kebab_name
from ...values.result import Progress
from ..fitting.devices import Device
from .candidates import Candidates
from .folder import hold

JOURNAL = "journal.log"
LISTING = "search.json"
BEST = "best.yml"
FACTORS = "factors"

FOUND, SOUP, DEFAULTS, GIVEN = "searched", "uniform-soup", "defaults", "given"
"""What is judged on the test split."""


@dataclass(frozen=True, slots=True, eq=False, kw_only=True, repr=False)
class SearchResult:
    """What a search has found.

    Attributes:
        recipe: the winner's, as `best` has it in YAML.
        best, merged: where it and its merge are.
        score: of the winner on the selection split, by the metric as it is.
        comparison: the winner, the uniform soup, the defaults and the recipe as it was given, on
            both splits; and every attempt.
    """

    recipe: Recipe
    best: Path
    merged: Path
    score: float
    comparison: Comparison

    def __repr__(self) -> str:
        return f"SearchResult(score {self.score:.4g}, best {str(self.best)!r}): {self.comparison!r}"

    def _repr_html_(self) -> str:
        return self.comparison._repr_html_()  # pyright: ignore[reportPrivateUsage] - notebooks'

    def to_pandas(self) -> Any:
        """Every trial as a pandas.DataFrame: its number, origin, score and what it tried.

        Raises:
            ExtraError: pandas is not installed.
        """
        trials = [
            {"number": one.number, "origin": one.origin, "score": one.score, **dict(one.values)}
            for one in self.comparison.attempts
        ]
        return optional("pandas", "notebook").DataFrame(trials)

    def plot(self, ax: Any = None) -> Any:
        """The main figure of the comparison on the test split."""
        return self.comparison.plot(ax)


def search(
    recipe: Recipe | str | Path | Mapping[str, object],
    experiment: Experiment | str | Path | Mapping[str, object],
    out: str | Path,
    *,
    budget: Budget | Mapping[str, object] = ONE_SEARCH,
    resume: bool = False,
    overwrite: bool = False,
    device: Device = "auto",
    factors: Path | None = None,
    options: Options | None = None,
    progress: Progress | Bar | None = None,
) -> SearchResult:
    """Search a recipe's weights and fields by the experiment's metric on its selection split.

    The uniform soup, the method's defaults and the recipe as given are tried first. The test split
    is looked at once, at the end. Writes best.yml, merged.safetensors (or merged/, where a model is
    a directory), journal.log and search.json into `out`.

    Args:
        recipe: what is merged, as a value, a mapping, or its file; its `search` has the axes. With
            tasks it has one model for each, in the order of the tasks or of their names; each keeps
            its own head.
        experiment: network, data or tasks, split, and `compare.metric`, likewise; nothing is
            trained. Functions of one's own are named in it as package.module:function.
        out: folder.
        budget: trials, sampler and its seed, as `compare.search` of an experiment has them.
        resume: go on where an earlier search ended, perhaps with more trials.
        overwrite: forget an earlier search.
        device: where networks are run.
        factors: a folder that keeps CART's factors for other searches of these models; they are
            deleted at the end without one. Where rank and scale alone are searched, the models are
            decomposed once, at the largest rank, for all trials.
        options: memory, workers and what else merging takes. Models that fit `memory` together are
            read once and held; others are streamed from disk for each trial.
        progress: called with what is being done and the fraction of the whole that is behind;
            "bar" shows a bar of tqdm's.

    Raises:
        StockpotError: what cannot be merged, judged, searched or written, and why.

    Cost: for each trial a merge in memory and one pass over the selection split.
    """
    options, out, budget = options or Options(), Path(out), Budget.parse(budget, "", "a budget")
    recipe = _recipe_of(recipe)
    experiment = _experiment_of(experiment)
    tell = bar_for(progress) or _silent
    tell("reading models and data", 0.0)
    candidates = Candidates.open(recipe, experiment, device, options)
    attempts = _search_of(candidates, budget)
    merged = out / ("merged" if _has_directory(candidates) else "merged.safetensors")
    with _folder(out, _identity(candidates, attempts), resume=resume, overwrite=overwrite):
        tell("looking for what all trials share", 0.0)
        store = factors or out / FACTORS
        shared = factoring_of(candidates.recipe, attempts.space, attempts.starts, store, options)
        decomposed = shared if isinstance(shared, str) else shared.fact
        if not isinstance(shared, str):
            candidates = replace(candidates, factoring=shared)

        def told(done: int, best: float) -> None:
            shown = candidates.contest.metric.sign * best
            tell(f"trial {done} of {budget.trials}, best {shown:.4g}", 0.95 * done / budget.trials)

        tried = attempts.run(candidates.score, journal=out / JOURNAL, told=told)
        winner = best_of(tried)
        if winner.score == WORST:
            raise StockpotError(
                f"no candidate has a score: {winner.problem or 'none is a number'}."
            )
        score = candidates.contest.metric.sign * winner.score
        record = _record(candidates, attempts, len(tried), score)
        best = replace(candidates.recipe_of(winner.candidate), searched=record)
        tell("judging on the test split", 0.96)
        comparison = _judge(candidates, attempts, tried, winner, decomposed)
        _write(out / BEST, dump_yaml(best.resolved()))
        run_recipe(best, merged, replace(options, overwrite=True, resume=False))
        if factors is None:
            shutil.rmtree(store, ignore_errors=True)
    tell("done", 1.0)
    return SearchResult(
        recipe=best, best=out / BEST, merged=merged, score=score, comparison=comparison
    )


def _recipe_of(given: object) -> Recipe:
    if isinstance(given, str | Path):
        return read_recipe(given)
    return given if isinstance(given, Recipe) else parse_recipe(given)


def _experiment_of(given: object) -> Experiment:
    if isinstance(given, str | Path):
        return read_experiment(given)
    if isinstance(given, Experiment):
        return given
    if isinstance(given, Mapping):
        return parse_experiment(cast(object, given))
    raise FieldError(
        "search judges by an experiment: an Experiment, a mapping or its file; got "
        f"{type(given).__name__}. Networks, data and metrics that are functions are named in it as "
        "package.module:function."
    )


def _silent(_what: str, _done: float) -> None:
    pass


def _has_directory(candidates: Candidates) -> bool:
    return any(one.directory is not None for one in candidates.inputs)


def _search_of(candidates: Candidates, budget: Budget) -> Search:
    recipe = candidates.recipe
    space = space_of(recipe.method, len(recipe.models), recipe.search, recipe.weights)
    given = Candidate(recipe.method, recipe.weights)
    return Search(
        space=space,
        starts={
            SOUP: Candidate(Average()),
            DEFAULTS: Candidate(defaults_of(recipe.method)),
            GIVEN: given,
        },
        budget=budget,
    )


def _identity(candidates: Candidates, search: Search) -> dict[str, Any]:
    """What makes a search another one; the number of trials does not."""
    files = [source for one in candidates.inputs for source in one.files]
    return {
        "recipe": replace(candidates.recipe, searched=None).resolved(),
        "axes": {name: repr(axis) for name, axis in search.space.axes.items()},
        "network": candidates.contest.ledger.network,
        "data": dict(candidates.digests),
        "metric": candidates.contest.metric.name,
        "sampler": search.budget.sampler,
        "seed": search.budget.seed,
        "files": {str(one.path): [one.identity.size, one.identity.mtime_ns] for one in files},
    }


@contextmanager
def _folder(
    out: Path, identity: Mapping[str, Any], *, resume: bool, overwrite: bool
) -> Generator[None]:
    """Hold the folder for one search, whose trials may be there already."""
    held = hold(out)
    try:
        listing, journal = out / LISTING, out / JOURNAL
        if overwrite:
            journal.unlink(missing_ok=True)
        elif journal.exists():
            if not resume:
                raise OutputError(
                    f"{out} holds a search already: --resume goes on with it, --overwrite forgets "
                    "it."
                )
            _refuse_other(out, listing, identity)
        _write(listing, json.dumps(identity, indent=1) + "\n")
        yield
    finally:
        os.close(held)


def _refuse_other(out: Path, listing: Path, identity: Mapping[str, Any]) -> None:
    try:
        there = json.loads(listing.read_text(encoding="utf8"))
    except (OSError, ValueError):
        raise OutputError(f"{listing} cannot be read: use --overwrite, or another --out.") from None
    wanted = json.loads(json.dumps(identity))
    if there != wanted:
        raise OutputError(
            f"{out} holds another search: {first_differences(there, wanted)}. Use another --out, "
            "or --overwrite."
        )


def _write(path: Path, text: str) -> None:
    partial = path.with_name(path.name + ".partial")
    try:
        partial.write_text(text, encoding="utf8")
        partial.replace(path)
    except OSError as error:
        raise OutputError(f"cannot write {path}: {error.strerror}.") from None


def _record(candidates: Candidates, search: Search, count: int, score: float) -> Searched:
    return Searched(
        fields=tuple(search.space.axes),
        trials=count,
        sampler=search.budget.sampler,
        seed=search.budget.seed,
        metric=candidates.contest.metric.name,
        score=score,
        data=", ".join(one.name for one in candidates.tasks),
    )


def _judge(
    candidates: Candidates,
    search: Search,
    tried: Sequence[ScoredCandidate],
    winner: ScoredCandidate,
    decomposed: str,
) -> Comparison:
    """The winner beside the starts, each on both splits."""
    names = {FOUND: winner.candidate}
    for name, candidate in search.starts.items():
        if candidate not in [names[one] for one in names if one != FOUND]:
            names[name] = candidate
    rows, differences = candidates.judge(names)
    kind, metric = kebab_name(type(candidates.recipe.method)), candidates.contest.metric
    said = ", and ".join(one.phrase(metric.name) for one in differences)
    data = ", ".join(one.name for one in candidates.tasks)
    return Comparison(
        title=f"What searching {kind} found",
        rows=rows,
        differences=differences,
        conclusion=(
            f"Of {len(tried)} candidates the selection split prefers trial {winner.number} "
            f"({winner.origin}): {winner.candidate.method!r}{_weights(winner.candidate)}. On the "
            f"test split it is {said}."
        ),
        facts=(
            ("network", candidates.contest.ledger.network),
            ("data", data),
            ("searched", ", ".join(search.space.axes)),
            ("trials", f"{len(tried)}, by {search.budget.sampler} with seed {search.budget.seed}"),
            ("objective", f"{metric.name} on the selection split"),
            ("models", ", ".join(one.path for one in candidates.recipe.models)),
            *([("decomposed", decomposed)] if decomposed else []),
            *_batch_norm(candidates),
            *contest_provenance(candidates.contest, rows, 1),
        ),
        attempts=attempts_of(kind, search, tried, metric.sign),
    )


def _weights(candidate: Candidate) -> str:
    if candidate.weights is None:
        return ""
    return f" with weights {', '.join(f'{one:.4g}' for one in candidate.weights)}"


def _batch_norm(candidates: Candidates) -> list[tuple[str, str]]:
    if not any(has_batch_norm(one.network) for one in candidates.tasks):
        return []
    return [("batch normalisation", "statistics are averaged, not estimated again")]
