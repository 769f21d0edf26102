"""From findings to a verdict: whether, and with which method."""

from dataclasses import replace

from ..comparing.likeness import DROWNED
from ..result import DiagnosisResult, Prospect
from .evidence import Evidence
from .prospects import NO_BASE, advised, merge_words, value_of
from .reasons import against, noted, unknown
from .steps import Situation, steps_of

WORTH = 0.7
"""Quality of the best forecast below which a merge is not worth making."""
_ROBUST = ("median", "trimmed-mean")
"""Methods that a minority of models does not move."""


def judged(found: Evidence, facts: tuple[tuple[str, str], ...]) -> DiagnosisResult:
    """The diagnosis: every finding with the verdict on all of them."""
    failing = list(against(found))
    seen = found.gradients is not None  # what was seen of the average outweighs a forecast
    undecided = not failing and found.origin == "unknown" and not seen
    every = tuple(_weighed(one, found) for one in found.prospects)
    chosen = advised(every)
    if chosen and chosen.forecast and chosen.quality < WORTH and not seen:
        failing.append(_poor(chosen))
        every = tuple(
            replace(one, fits=False, reason="is not worth it") if one.fits else one for one in every
        )
        chosen = None
    every = tuple(replace(one, reason="advised") if one is chosen else one for one in every)
    advice = [_advised(chosen)] if chosen else []
    return DiagnosisResult(
        title="Will these models merge?",
        mergeable=not failing and not undecided,
        same_origin=found.same_origin,
        origin=found.origin,
        undecided=undecided,
        recommended=chosen.method if chosen else None,
        reasons=(*failing, *unknown(found), *advice, *noted(found)),
        steps=steps_of(_situation(found, chosen, undecided=undecided)),
        base=found.base,
        models=found.models,
        pairs=found.pairs,
        bases=found.bases,
        architecture=found.architecture,
        compared=found.compared,
        lineage=found.lineage,
        layers=found.layers,
        scopes=found.scopes,
        copies=found.copies,
        task_vectors=found.task_vectors,
        prospects=every,
        traits=found.traits,
        forecast=found.forecast,
        gradients=found.gradients,
        facts=facts,
    )


def _weighed(one: Prospect, found: Evidence) -> Prospect:
    """A method that could be run is no good where what it is run on is none."""
    if not one.fits:
        lacking = one.reason == NO_BASE and found.base is not None
        return replace(one, reason="needs a base with their tensors") if lacking else one
    reason = _unfit_models(one.method, found)
    if not reason and value_of(one.method, len(found.models)).needs.base:
        reason = _unfit_base(found)
    return replace(one, fits=not reason, reason=reason)


def _unfit_models(method: str, found: Evidence) -> str:
    """What is against merging these models so, by weight; '' for nothing."""
    if not found.architecture.same:
        return "is refused: tensors differ"
    if found.sameness.unlike:
        return "is refused: other networks of the same tensors"
    if any(model.damaged for model in found.models):
        return "is refused: NaN or infinity"
    if found.origin == "several" and method in _ROBUST and found.majority:
        return "keeps to the majority: leave the outlier out instead"
    if found.origin == "several":
        return "will fail: different starts"
    if found.origin == "unknown" and found.gradients is None:
        return "not judged: too little could be compared"
    if found.opposed:
        return "would cancel: opposite task vectors"
    if found.barred:
        return "not advised: a barrier before the average"
    return "not advised: scales differ" if found.drowned >= DROWNED else ""


def _unfit_base(found: Evidence) -> str:
    if found.damaged_base:
        return "is refused: NaN or infinity in the base"
    if found.strangers:
        return "will fail: not their base"
    return "not advised: perhaps not their base" if found.doubted else ""


def _situation(found: Evidence, chosen: Prospect | None, *, undecided: bool) -> Situation:
    method = None if chosen is None else value_of(chosen.method, len(found.models))
    return Situation(
        models=found.models,
        base=found.base,
        origin=found.origin,
        undecided=undecided,
        architecture=found.architecture,
        compared=found.compared,
        opposed=_pair(found),
        scopes=found.scopes,
        copies=found.copies,
        torn=bool(found.torn),
        unused=bool(found.strangers) or found.doubted,
        merge=() if method is None else merge_words(method),
        based=method is not None and method.needs.base,
    )


def _pair(found: Evidence) -> tuple[str, str] | None:
    vectors = found.task_vectors
    return (vectors.one, vectors.other) if vectors and found.opposed else None


_ABOVE = " More than 100% was seen where each model knew some classes better than the others."


def _poor(best: Prospect) -> str:
    return (
        f"Even {best.method}, about the best forecast, is expected to reach only "
        f"{best.quality:.0%} [{best.low:.0%}, {best.high:.0%}] of the models' mean score above "
        "chance: keep the best model, or run them as an ensemble."
    )


def _advised(chosen: Prospect) -> str:
    if not chosen.forecast:
        return f"{chosen.method} can be run on them; nothing is forecast of it."
    mended = ", statistics of batch norm estimated again," if chosen.mended else ""
    return (
        f"{chosen.method}{mended} is expected to reach {chosen.quality:.0%} "
        f"[{chosen.low:.0%}, {chosen.high:.0%}] of the models' mean score above chance."
        + (_ABOVE if chosen.quality > 1.05 else "")
    )
