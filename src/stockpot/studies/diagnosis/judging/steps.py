"""What to do first: steps with commands that this version has."""

import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ..comparing.architecture import BASE, Architecture, some
from ..comparing.extent import Compared
from ..comparing.likeness import MISMATCH, Copy, LayerScope
from ..result import ModelFinding, Origin, Step

_LISTED = 4
"""Tensors that a command names one by one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Situation:
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


def steps_of(situation: Situation) -> tuple[Step, ...]:
    """In the order in which they are to be done."""
    return (
        *_repairs(situation),
        *_dropping(situation),
        *_rescaling(situation),
        *_merging(situation),
    )


def _repairs(situation: Situation) -> Iterator[Step]:
    for one in situation.models:
        if one.damaged:
            yield Step(
                said=f"Get {one.name} anew, or an earlier checkpoint: its training diverged, or "
                "perhaps the file is damaged. Of what stockpot wrote, verify tells which:",
                command=_words("verify", one.source),
            )
    for one in situation.architecture.renamed:
        yield Step(
            said=f"Save {one.other} again under the names of {one.one}, such as by loading it into "
            "that class of transformers and calling save_pretrained; then diagnose again."
        )
    differences = situation.architecture.differences
    if differences and situation.origin == "one" and situation.architecture.shared >= 0.5:
        first = situation.models[0]
        globs = [f"--copy {shlex.quote(f'{glob}={donor}')}" for glob, donor in _donors(situation)]
        yield Step(
            said=f"To merge what they share, take the rest from one of them, here {first.name}; "
            "rows of heads mean the same only where classes are in the same order.",
            command=f"{_words('merge', 'average', *_sources(situation.models))} {' '.join(globs)} "
            "--out merged.safetensors",
        )
    elif differences and not situation.architecture.renamed:
        yield Step(
            said="Merge networks of one architecture only. What each has is shown side by side by",
            command=_words("inspect", *_sources(situation.models)),
        )


def _donors(situation: Situation) -> list[tuple[str, str]]:
    """Tensors that differ, by their modules where there are many, and who has them."""
    source = {one.name: one.source for one in situation.models}
    names = [one.name for one in situation.models]
    found = dict[str, str]()
    differences = situation.architecture.differences
    for one in differences:
        glob = one.tensor if len(differences) <= _LISTED else f"{one.tensor.rpartition('.')[0]}.*"
        has = names if one.kind == "shape" else one.others
        found.setdefault(glob, source[has[0]])
    return list(found.items())


def _dropping(situation: Situation) -> Iterator[Step]:
    out = [one for one in situation.models if one.outlier]
    kept = [one for one in situation.models if not one.outlier]
    if out and len(kept) > 1:
        yield Step(
            said=f"Leave {some([one.name for one in out])} out, and look again.",
            command=_words("diagnose", *_sources(kept), *_base(situation)),
        )
    elif situation.origin == "several" and situation.architecture.same:
        yield Step(
            said="Nothing in this version brings networks of different starts into one order: "
            "keep the better one, or run them all as an ensemble. Which, your data say:",
            command=_words("compare", *_sources(situation.models))
            + " --network NETWORK --data DATA --out run",
        )
    yield from _opposed(situation)
    yield from _leaving_copies(situation)
    if situation.unused:
        yield Step(said="Give the base that the models were fine-tuned from, or none.")
    if situation.undecided:
        yield Step(
            said="Let data decide: merge them, and judge the average beside the models.",
            command=_words("compare", *_sources(situation.models))
            + " --network NETWORK --data DATA --out run",
        )


def _opposed(situation: Situation) -> Iterator[Step]:
    if situation.opposed is None or situation.base is None or not situation.architecture.same:
        return
    kept, other = (
        next(o for o in situation.models if o.name == name) for name in situation.opposed
    )
    yield Step(said=f"Leave one of {kept.name} and {other.name} out.")
    yield Step(
        said=f"Or, if {other.name} has learned what is to be forgotten, subtract it:",
        command=_words(
            "merge", "task-arithmetic", kept.source, other.source, "--weights", "1,-1",
            "--base", situation.base, "--out", "merged.safetensors",
        ),
    )  # fmt: skip


def _leaving_copies(situation: Situation) -> Iterator[Step]:
    same = min(
        (one for one in situation.copies if one.other != BASE),
        key=lambda one: one.distance,
        default=None,
    )
    if same and situation.compared.whole:
        nearly = "nearly " if same.distance else ""
        yield Step(
            said=f"{same.one} and {same.other} count {nearly}twice in an average: leave one out, "
            "unless that weight is meant."
        )
    whole = situation.compared.whole_base
    of_base = [one.one for one in situation.copies if one.other == BASE and whole]
    if of_base and len(situation.models) - len(of_base) > 1:
        yield Step(said=f"Leave {some(of_base)} out: a merge with the base only dilutes the rest.")
    elif of_base:
        yield Step(
            said=f"{some(of_base)} {'is' if len(of_base) == 1 else 'are'} the base itself: the "
            "merge can only be a part of the way from it to the other model. Give another "
            "fine-tune if that is not what is meant."
        )


def _rescaling(situation: Situation) -> Iterator[Step]:
    wide = [one for one in situation.scopes if one.ratio >= MISMATCH]
    if not wide or situation.origin != "one":
        return
    if situation.torn and situation.architecture.batch_norm:
        yield Step(
            said="Give all models one scale first. Where batch norm follows, a scale of weights "
            "changes no prediction, and in Python stockpot.training.rescale_to_scope(network, "
            "fuse_scopes([scope_of(path), ...]), keep='function') makes them equal. "
            "Layer by layer:",
            command=_words("study", "scopes", *_sources(situation.models)) + " --out scopes",
        )
        return
    yield Step(
        said="Look at scales layer by layer"
        + (
            ": the odd one out may have been rescaled, or trained with another weight decay or "
            "learning rate. Undo that, or leave the model out."
            if situation.torn
            else "; the scope key of experiments keeps them together during training."
        ),
        command=_words("study", "scopes", *_sources(situation.models)) + " --out scopes",
    )


def _merging(situation: Situation) -> Iterator[Step]:
    if not situation.merge:
        return
    base = _base(situation) if situation.based else ()
    copies = _copies(situation) if base else ()
    yield Step(
        said="Merge them by the method that is advised; the result carries its evidence.",
        command=_words("merge", *situation.merge, *_sources(situation.models), *base, *copies)
        + " --out merged.safetensors",
    )
    if situation.architecture.batch_norm:
        yield Step(
            said="Then estimate statistics of batch norm again, in Python: "
            "stockpot.networks.reestimate_batch_norm(network, batches of training inputs). "
            "The next command does so by itself, in rows that end in :bn.",
        )
    yield Step(
        said="And judge it on data, beside the models themselves and their ensemble:",
        command=_words("compare", *_sources(situation.models))
        + " --network NETWORK --data DATA --out run",
    )


def _copies(situation: Situation) -> tuple[str, ...]:
    """What the base lacks is taken from the first model."""
    lacking = situation.architecture.lacking
    globs = dict.fromkeys(
        one if len(lacking) <= _LISTED else f"{one.rpartition('.')[0]}.*" for one in lacking
    )
    first = situation.models[0].source
    return tuple(word for glob in globs for word in ("--copy", f"{glob}={first}"))


def _base(situation: Situation) -> tuple[str, ...]:
    return () if situation.base is None or situation.unused else ("--base", situation.base)


def _sources(models: Sequence[ModelFinding]) -> list[str]:
    return [one.source for one in models]


def _words(*words: str) -> str:
    return shlex.join(["stockpot", *words])
