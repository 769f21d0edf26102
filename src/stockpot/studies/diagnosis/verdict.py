"""From findings to a verdict: whether, and with which method."""

from dataclasses import replace

from .advice import Case, steps_of
from .evidence import Evidence
from .findings import Diagnosis, Prospect
from .prospects import NO_BASE, advised, merge_words, value_of
from .reasons import against, noted

WORTH = 0.7
"""Quality of the best forecast below which a merge is not worth making."""
_ROBUST = ("median", "trimmed-mean")
"""Methods that a minority of models does not move."""


def judged(found: Evidence, facts: tuple[tuple[str, str], ...]) -> Diagnosis:
    """The diagnosis: every finding with the verdict on all of them."""
    failing = list(against(found))
    every = tuple(_weighed(one, found, mergeable=not failing) for one in found.prospects)
    chosen = advised(every)
    seen = found.gradients is not None  # what was seen of the average outweighs a forecast
    if chosen and chosen.forecast and chosen.quality < WORTH and not seen:
        failing.append(_poor(chosen))
        every = tuple(
            replace(one, fits=False, reason="is not worth it") if one.fits else one for one in every
        )
        chosen = None
    every = tuple(replace(one, reason="advised") if one is chosen else one for one in every)
    return Diagnosis(
        title="Will these models merge?",
        mergeable=not failing,
        same_origin=found.same_origin,
        recommended=chosen.method if chosen else None,
        reasons=(*failing, *([_advised(chosen)] if chosen else []), *noted(found)),
        steps=steps_of(_case(found, chosen)),
        base=found.base,
        models=found.models,
        pairs=found.pairs,
        bases=found.bases,
        architecture=found.architecture,
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


def _weighed(one: Prospect, found: Evidence, *, mergeable: bool) -> Prospect:
    """A method that could be run is no good where what it is run on is none."""
    if not one.fits:
        lacking = one.reason == NO_BASE and found.base is not None
        return replace(one, reason="needs a base with their tensors") if lacking else one
    reason = ""
    if not found.architecture.same:
        reason = "is refused: tensors differ"
    elif found.sameness.unlike:
        reason = "is refused: other networks of the same tensors"
    elif any(model.damaged for model in found.models):
        reason = "is refused: NaN or infinity"
    elif not found.same_origin and one.method in _ROBUST and found.majority:
        reason = "keeps to the majority: leave the outlier out instead"
    elif not found.same_origin:
        reason = "will fail: different starts"
    elif not mergeable:
        reason = "will fail: " + ("a barrier" if found.barred else "scales")
    elif value_of(one.method, len(found.models)).needs.base:
        reason = "will fail: not their base" if found.strangers else ""
        reason = "is refused: NaN or infinity in the base" if found.damaged_base else reason
    return replace(one, fits=not reason, reason=reason)


def _case(found: Evidence, chosen: Prospect | None) -> Case:
    method = None if chosen is None else value_of(chosen.method, len(found.models))
    return Case(
        models=found.models,
        base=found.base,
        same_origin=found.same_origin,
        architecture=found.architecture,
        scopes=found.scopes,
        copies=found.copies,
        torn=bool(found.torn),
        unused=bool(found.strangers),
        merge=() if method is None else merge_words(method),
        based=method is not None and method.needs.base,
    )


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
