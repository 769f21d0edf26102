"""From findings to a verdict: whether, with which method, why, and what to do first."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from statistics import median

from .advice import Case, steps_of
from ...methods.catalogue import make_method
from .architecture import Architecture, some
from .findings import Diagnosis, ModelFinding, Prospect, TaskVectors
from .gradients import Gradients
from .kinship import Kinship, LayerKinship
from .outlying import DROWNED, MISMATCH, Copy, LayerScope
from .prospects import merge_flags

GAP = 0.05
"""Agreement of signs so far below what angles say is pointed at."""
TORN = 4.0
"""Standard deviations of one layer that differ by this factor are to be mended before a merge."""
BARRIER = 0.2
"""Nats by which the mean of the models may be worse than they are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What was found, before it is judged; see `Diagnosis`."""

    models: tuple[ModelFinding, ...]
    base: str | None
    architecture: Architecture
    pairs: tuple[Kinship, ...]
    bases: tuple[Kinship, ...]
    layers: tuple[LayerKinship, ...]
    scopes: tuple[LayerScope, ...]
    copies: tuple[Copy, ...]
    task_vectors: TaskVectors | None
    prospects: tuple[Prospect, ...]
    traits: Mapping[str, float] = field(default_factory=dict[str, float])
    forecast: str = ""
    gradients: Gradients | None = None
    damaged_base: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """What the models are called."""
        return tuple(one.name for one in self.models)

    @property
    def same_origin(self) -> bool:
        """Whether all models come from one start."""
        return len({one.origin for one in self.models}) == 1

    @property
    def unused(self) -> bool:
        """Whether the base is not what all models come from."""
        return any(not one.same for one in self.bases)

    @property
    def drowned(self) -> bool:
        """Whether models have other scales in all layers."""
        return bool(self.scopes) and median(one.ratio for one in self.scopes) >= DROWNED

    @property
    def barred(self) -> bool:
        """Whether the mean of the models is much worse than they are on the batches."""
        return self.gradients is not None and self.gradients.barrier > BARRIER

    @property
    def torn(self) -> tuple[LayerScope, ...]:
        """Layers whose standard deviations are so far apart that they are mended first."""
        return tuple(one for one in self.scopes if one.ratio >= TORN)


def judged(found: Evidence, facts: tuple[tuple[str, str], ...]) -> Diagnosis:
    """The diagnosis: every finding with the verdict on all of them."""
    against, noted = list(_against(found)), list(_noted(found))
    mergeable = not against
    prospects = tuple(_weighed(one, found, mergeable=mergeable) for one in found.prospects)
    fitting = [one for one in prospects if one.fits]
    recommended = fitting[0].method if fitting else None
    return Diagnosis(
        title="Will these models merge?",
        mergeable=mergeable,
        same_origin=found.same_origin,
        recommended=recommended,
        reasons=(*against, *noted),
        steps=steps_of(_case(found, recommended)),
        base=found.base,
        models=found.models,
        pairs=found.pairs,
        bases=found.bases,
        architecture=found.architecture,
        layers=found.layers,
        scopes=found.scopes,
        copies=found.copies,
        task_vectors=found.task_vectors,
        prospects=prospects,
        traits=found.traits,
        forecast=found.forecast,
        gradients=found.gradients,
        facts=facts,
    )


def _weighed(one: Prospect, found: Evidence, *, mergeable: bool) -> Prospect:
    """A method that could be run is no good where what it is run on is none."""
    if not one.fits:
        return one
    reason = ""
    if not found.architecture.same:
        reason = "is refused: tensors differ"
    elif any(model.damaged for model in found.models):
        reason = "is refused: NaN or infinity"
    elif not found.same_origin:
        reason = "will fail: different starts"
    elif not mergeable:
        reason = "will fail: " + ("a barrier" if found.barred else "scales")
    elif make_method(one.method, {}).needs.base:
        reason = "will fail: not their base" if found.unused else ""
        reason = "is refused: NaN or infinity in the base" if found.damaged_base else reason
    return replace(one, fits=not reason, reason=reason)


def _case(found: Evidence, recommended: str | None) -> Case:
    method = None if recommended is None else make_method(recommended, {})
    return Case(
        models=found.models,
        base=found.base,
        same_origin=found.same_origin,
        architecture=found.architecture,
        scopes=found.scopes,
        copies=found.copies,
        torn=bool(found.torn),
        unused=found.unused,
        merge=() if method is None else tuple(merge_flags(method)),
        based=method is not None and method.needs.base,
    )


def _against(found: Evidence) -> Iterator[str]:
    """What makes a merge of all of them fail, in sentences."""
    for one in found.models:
        if one.damaged:
            yield f"{one.name} holds NaN or infinity in {some(_quoted(one.damaged))}."
    differences = found.architecture.differences
    if differences:
        more = len(differences) - 1
        yield (
            f"The models have different tensors: '{differences[0].tensor}' {differences[0].said}"
            + (f", and {more} more differ" if more else "")
            + f". They share {_part(found.architecture.shared)} of the entries of the largest."
        )
    if not found.same_origin:
        yield _origins(found)
    if found.drowned:
        yield (
            f"Weights of some models are {median(one.ratio for one in found.scopes):.3g} times as "
            "large as those of others (median layer): in an average the larger ones drown the rest."
        )
    if found.gradients and found.barred:
        yield _barrier(found.gradients)


def _origins(found: Evidence) -> str:
    apart = [one for one in found.pairs if not one.same]
    seen = [one.correlation for one in apart if math.isfinite(one.correlation)]
    if not seen:
        return "No layer can be compared, so that nothing says that the models come from one start."
    groups = dict[int, list[str]]()
    for one in found.models:
        groups.setdefault(one.origin, []).append(one.name)
    each = " | ".join(some(names) for names in groups.values())
    return (
        f"They come from {len(groups)} starts: {each}. Correlations of their layers across are "
        f"{max(seen):.3f} at most (median layer); of models from one start that is near 1, of "
        "others near 0. Units lie in another order, and an average of them is no network; "
        "or they were permuted."
    )


def _noted(found: Evidence) -> Iterator[str]:
    """What does not forbid a merge but should be known."""
    if found.same_origin and found.pairs:
        yield _kin(found)
    for one in found.models:
        if one.outlier and not one.damaged:
            yield f"{one.name} is an outlier: it {' and '.join(one.why)}."
    for one in found.copies:
        yield f"{one.one} and {one.other} hold {one.said}."
    yield from _base(found)
    yield from _heads(found)
    yield from _scopes(found)
    yield from _signs(found)
    if found.architecture.batch_norm:
        yield (
            f"{len(found.architecture.batch_norm)} layers keep statistics of batches: those of an "
            "average are not the average of the models'."
        )
    if len(set(found.architecture.dtypes)) > 1:
        each = zip(found.names, found.architecture.dtypes, strict=True)
        yield f"Dtypes differ: {some([f'{name} is {dtype}' for name, dtype in each])}."
    if found.gradients and not found.barred:
        yield _barrier(found.gradients)


def _kin(found: Evidence) -> str:
    if decided := [one for one in found.pairs if one.said]:
        one = decided[0]
        return f"One start: of {one.one} and {one.other}, {one.said}."
    least = min(found.pairs, key=lambda one: one.correlation)
    return (
        f"One start: the layers of {least.one} and {least.other}, which are least alike, have a "
        f"correlation of {least.correlation:.3f} (median; {least.lowest:.3f} in "
        f"'{least.lowest_tensor}')."
    )


def _base(found: Evidence) -> Iterator[str]:
    if found.damaged_base:
        yield f"The base holds NaN or infinity in {some(_quoted(found.damaged_base))}."
    strangers = [one for one in found.bases if not one.same]
    if strangers:
        yield (
            f"The base is not what {some([one.one for one in strangers])} come from: the layers "
            f"have a correlation of {max(one.correlation for one in strangers):.3f} with it. "
            "Methods that need a base would merge noise."
        )
    if found.base is not None and found.architecture.lacking:
        lacking = found.architecture.lacking
        yield (
            f"The base lacks {some(_quoted(lacking))}, or has another shape there: methods that "
            "need a base refuse."
        )


def _heads(found: Evidence) -> Iterator[str]:
    """Single layers of their own start in models that are kin."""
    own = dict.fromkeys(name for pair in found.pairs if pair.same for name in pair.unlike)
    if own:
        yield (
            f"{some(_quoted(list(own)))} have nothing in common though the other layers do, as "
            "heads that were trained from starts of their own."
        )


def _scopes(found: Evidence) -> Iterator[str]:
    wide = [one for one in found.scopes if one.ratio >= MISMATCH]
    if not wide:
        return
    worst = max(wide, key=lambda one: one.ratio)
    large = found.names[worst.stds.index(max(worst.stds))]
    small = found.names[worst.stds.index(min(worst.stds))]
    more = f", and {len(wide) - 1} more layers by {MISMATCH:g} or more" if len(wide) > 1 else ""
    yield (
        f"Scopes differ: weights of '{worst.tensor}' spread {worst.ratio:.3g} times as far in "
        f"{large} as in {small}{more}; an average has the wider ones' directions there."
    )


def _signs(found: Evidence) -> Iterator[str]:
    vectors = found.task_vectors
    if vectors is None or vectors.centre != "base" or not math.isfinite(vectors.cosine):
        return
    count = len(found.models)
    yield (
        f"Task vectors have a cosine of {vectors.cosine:.3f} (mean over pairs), and their average "
        f"keeps {vectors.kept:.0%} of their squared length: {1 / count:.0%} would be orthogonal "
        "ones, 100% the same."
    )
    if vectors.lowest < -GAP:
        yield f"Some pull against each other: the lowest cosine is {vectors.lowest:.3f}."
    if vectors.agree < vectors.expected - GAP:
        yield (
            f"Signs agree at {vectors.agree:.1%} of elements, more rarely than the angles say "
            f"({vectors.expected:.1%}): a few large entries make the angle."
        )
    if 2 < vectors.lengths < math.inf:
        yield f"The longest task vector is {vectors.lengths:.1f} times as long as the shortest."


def _barrier(seen: Gradients) -> str:
    mean = math.fsum(one.loss for one in seen.models) / len(seen.models)
    return (
        f"On {seen.samples} samples of the {seen.split}, the plain average has a loss of "
        f"{seen.mean.loss:.3f} and is right on {seen.mean.accuracy:.1%}; the models have "
        f"{mean:.3f} and {_span([one.accuracy for one in seen.models])}."
    )


def _part(share: float) -> str:
    """Not all is not 100%."""
    return f"{share:.1%}" if share < 0.999 else f"{math.floor(share * 1e5) / 1e3:.3f}%"


def _span(values: Sequence[float]) -> str:
    low, high = min(values), max(values)
    return f"{low:.1%}" if low == high else f"{low:.1%} to {high:.1%}"


def _quoted(names: Sequence[str]) -> list[str]:
    return [f"'{name}'" for name in names]
