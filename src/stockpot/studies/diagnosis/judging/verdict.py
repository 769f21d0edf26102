"""From findings to a verdict: whether, and with which method, and what to do first."""

import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from ..comparing.architecture import BASE, Architecture, some
from ..comparing.kinship import Compared
from ..comparing.likeness import DROWNED, MISMATCH, Copy, LayerScope
from ..result import DiagnosisResult, ModelFinding, Origin, Prospect, Step
from .prospects import NO_BASE, advised, merge_words, value_of
from .reasons import Evidence, against, noted, unknown

_LISTED = 4
"""Tensors that a command names one by one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """What steps depend on; see `DiagnosisResult`.

    Attributes:
        origin, undecided, compared: of the diagnosis.
        opposed: two models whose task vectors are opposite.
        torn: whether layers have scales so far apart that they are mended first.
        unused: whether the base is there but not, or perhaps not, what the models come from.
        merge: words of the command after `stockpot merge`, before the models; none where no merge
            is advised.
        based: whether that method needs the base.
    """

    models: tuple[ModelFinding, ...]
    base: str | None
    origin: Origin
    undecided: bool
    architecture: Architecture
    compared: Compared
    opposed: tuple[str, str] | None
    scopes: tuple[LayerScope, ...]
    copies: tuple[Copy, ...]
    torn: bool
    unused: bool
    merge: tuple[str, ...]
    based: bool


def steps_of(case: Case) -> tuple[Step, ...]:
    """In the order in which they are to be done."""
    return (*_repairs(case), *_dropping(case), *_rescaling(case), *_merging(case))


def _repairs(case: Case) -> Iterator[Step]:
    for one in case.models:
        if one.damaged:
            yield Step(
                said=f"Get {one.name} anew, or an earlier checkpoint: its training diverged, or "
                "perhaps the file is damaged. Of what stockpot wrote, verify tells which:",
                command=_words("verify", one.source),
            )
    for one in case.architecture.renamed:
        yield Step(
            said=f"Save {one.other} again under the names of {one.one}, such as by loading it into "
            "that class of transformers and calling save_pretrained; then diagnose again."
        )
    differences = case.architecture.differences
    if differences and case.origin == "one" and case.architecture.shared >= 0.5:
        first = case.models[0]
        globs = [f"--copy {shlex.quote(f'{glob}={donor}')}" for glob, donor in _donors(case)]
        yield Step(
            said=f"To merge what they share, take the rest from one of them, here {first.name}; "
            "rows of heads mean the same only where classes are in the same order.",
            command=f"{_words('merge', 'average', *_sources(case.models))} {' '.join(globs)} "
            "--out merged.safetensors",
        )
    elif differences and not case.architecture.renamed:
        yield Step(
            said="Merge networks of one architecture only. What each has is shown side by side by",
            command=_words("inspect", *_sources(case.models)),
        )


def _donors(case: Case) -> list[tuple[str, str]]:
    """Tensors that differ, by their modules where there are many, and who has them."""
    source = {one.name: one.source for one in case.models}
    names = [one.name for one in case.models]
    found = dict[str, str]()
    differences = case.architecture.differences
    for one in differences:
        glob = one.tensor if len(differences) <= _LISTED else f"{one.tensor.rpartition('.')[0]}.*"
        has = names if one.kind == "shape" else one.others
        found.setdefault(glob, source[has[0]])
    return list(found.items())


def _dropping(case: Case) -> Iterator[Step]:
    out = [one for one in case.models if one.outlier]
    kept = [one for one in case.models if not one.outlier]
    if out and len(kept) > 1:
        yield Step(
            said=f"Leave {some([one.name for one in out])} out, and look again.",
            command=_words("diagnose", *_sources(kept), *_base(case)),
        )
    elif case.origin == "several" and case.architecture.same:
        yield Step(
            said="Nothing in this version brings networks of different starts into one order: "
            "keep the better one, or run them all as an ensemble. Which, your data say:",
            command=_words("compare", *_sources(case.models))
            + " --network NETWORK --data DATA --out run",
        )
    yield from _opposed(case)
    yield from _leaving_copies(case)
    if case.unused:
        yield Step(said="Give the base that the models were fine-tuned from, or none.")
    if case.undecided:
        yield Step(
            said="Let data decide: merge them, and judge the average beside the models.",
            command=_words("compare", *_sources(case.models))
            + " --network NETWORK --data DATA --out run",
        )


def _opposed(case: Case) -> Iterator[Step]:
    if case.opposed is None or case.base is None or not case.architecture.same:
        return
    kept, other = (next(o for o in case.models if o.name == name) for name in case.opposed)
    yield Step(said=f"Leave one of {kept.name} and {other.name} out.")
    yield Step(
        said=f"Or, if {other.name} has learned what is to be forgotten, subtract it:",
        command=_words(
            "merge", "task-arithmetic", kept.source, other.source, "--weights", "1,-1",
            "--base", case.base, "--out", "merged.safetensors",
        ),
    )  # fmt: skip


def _leaving_copies(case: Case) -> Iterator[Step]:
    same = min(
        (one for one in case.copies if one.other != BASE),
        key=lambda one: one.distance,
        default=None,
    )
    if same and case.compared.whole:
        nearly = "nearly " if same.distance else ""
        yield Step(
            said=f"{same.one} and {same.other} count {nearly}twice in an average: leave one out, "
            "unless that weight is meant."
        )
    whole = case.compared.whole_base
    of_base = [one.one for one in case.copies if one.other == BASE and whole]
    if of_base and len(case.models) - len(of_base) > 1:
        yield Step(said=f"Leave {some(of_base)} out: a merge with the base only dilutes the rest.")
    elif of_base:
        yield Step(
            said=f"{some(of_base)} {'is' if len(of_base) == 1 else 'are'} the base itself: the "
            "merge can only be a part of the way from it to the other model. Give another "
            "fine-tune if that is not what is meant."
        )


def _rescaling(case: Case) -> Iterator[Step]:
    wide = [one for one in case.scopes if one.ratio >= MISMATCH]
    if not wide or case.origin != "one":
        return
    if case.torn and case.architecture.batch_norm:
        yield Step(
            said="Give all models one scale first. Where batch norm follows, a scale of weights "
            "changes no prediction, and in Python stockpot.training.rescale_to_scope(network, "
            "fuse_scopes([scope_of(path), ...]), keep='function') makes them equal. "
            "Layer by layer:",
            command=_words("study", "scopes", *_sources(case.models)) + " --out scopes",
        )
        return
    yield Step(
        said="Look at scales layer by layer"
        + (
            ": the odd one out may have been rescaled, or trained with another weight decay or "
            "learning rate. Undo that, or leave the model out."
            if case.torn
            else "; the scope key of experiments keeps them together during training."
        ),
        command=_words("study", "scopes", *_sources(case.models)) + " --out scopes",
    )


def _merging(case: Case) -> Iterator[Step]:
    if not case.merge:
        return
    base = _base(case) if case.based else ()
    copies = _copies(case) if base else ()
    yield Step(
        said="Merge them by the method that is advised; the result carries its evidence.",
        command=_words("merge", *case.merge, *_sources(case.models), *base, *copies)
        + " --out merged.safetensors",
    )
    if case.architecture.batch_norm:
        yield Step(
            said="Then estimate statistics of batch norm again on training data; in Python "
            "stockpot.reestimate_batch_norm(network, loader). The command that judges does so by "
            "itself, in rows that end in :bn.",
            command=_words("reestimate", "merged.safetensors")
            + " --network NETWORK --data DATA --out mended.safetensors",
        )
    yield Step(
        said="And judge it on data, beside the models themselves and their ensemble:",
        command=_words("compare", *_sources(case.models))
        + " --network NETWORK --data DATA --out run",
    )


def _copies(case: Case) -> tuple[str, ...]:
    """What the base lacks is taken from the first model."""
    lacking = case.architecture.lacking
    globs = dict.fromkeys(
        one if len(lacking) <= _LISTED else f"{one.rpartition('.')[0]}.*" for one in lacking
    )
    first = case.models[0].source
    return tuple(word for glob in globs for word in ("--copy", f"{glob}={first}"))


def _base(case: Case) -> tuple[str, ...]:
    return () if case.base is None or case.unused else ("--base", case.base)


def _sources(models: Sequence[ModelFinding]) -> list[str]:
    return [one.source for one in models]


def _words(*words: str) -> str:
    return shlex.join(["stockpot", *words])


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
        steps=steps_of(_case(found, chosen, undecided=undecided)),
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


def _case(found: Evidence, chosen: Prospect | None, *, undecided: bool) -> Case:
    method = None if chosen is None else value_of(chosen.method, len(found.models))
    return Case(
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
