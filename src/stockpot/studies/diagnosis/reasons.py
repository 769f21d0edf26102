"""The reasons of a verdict, in sentences that are computed from numbers."""

import math
from collections.abc import Iterator, Sequence

from .architecture import BASE, some
from .evidence import Evidence
from .gradients import Gradients
from .outlying import DROWNED, MISMATCH

GAP = 0.05
"""Agreement of signs so far below what angles say is pointed at."""


def against(found: Evidence) -> Iterator[str]:
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
    yield from _renamed(found, of_base=False)
    if found.sameness.unlike:
        yield (
            "The same tensors mean different things in them: "
            f"{'; '.join(found.sameness.unlike)}. A merge of them refuses."
        )
    if not found.same_origin and found.architecture.shared:
        yield _origins(found)
    if found.drowned >= DROWNED:
        yield (
            f"Weights of one model are {found.drowned:.3g} times as large as another's (median "
            "layer): an average would be little else than the larger one."
        )
    if found.gradients and found.barred:
        yield _barrier(found.gradients)


def _renamed(found: Evidence, *, of_base: bool) -> Iterator[str]:
    for one in found.architecture.renamed:
        if (BASE in (one.one, one.other)) == of_base:
            yield one.said


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
        f"{max(seen):.3f} at most (median layer); from one start they are near 1, else near 0. "
        "Their units stand in different orders, by training or because they were permuted, so that "
        "an average computes nothing sensible."
    )


def noted(found: Evidence) -> Iterator[str]:
    """What does not forbid a merge but should be known."""
    if found.same_origin and found.pairs:
        yield _kin(found)
    yield from (text[:1].upper() + text[1:] for text in found.sameness.notes)
    for one in found.models:
        if one.outlier and not one.damaged:
            yield f"{one.name} is an outlier: it {' and '.join(one.why)}."
    for one in found.copies:
        yield f"{one.one} and {one.other} hold {one.said}."
    yield from _base(found)
    yield from _heads(found)
    yield from _scopes(found)
    if found.same_origin:
        yield from _signs(found)
    if found.architecture.batch_norm:
        yield (
            f"Layers that keep statistics of batches: {len(found.architecture.batch_norm)}. Those "
            "of an average are not the average of the models'."
        )
    if len(set(found.architecture.dtypes)) > 1:
        each = zip(found.names, found.architecture.dtypes, strict=True)
        yield f"Dtypes differ: {some([f'{name} is {dtype}' for name, dtype in each])}."
    if found.gradients and not found.barred:
        yield _barrier(found.gradients)


def _kin(found: Evidence) -> str:
    if decided := [one for one in found.pairs if one.said]:
        one = decided[0]
        heads = " An average of last layers is the ensemble of their logits, exactly."
        said = f"One start: of {one.one} and {one.other}, {one.said}."
        return said + (heads if one.body else "")
    least = min(found.pairs, key=lambda one: one.correlation)
    return (
        f"One start: the layers of {least.one} and {least.other}, which are least alike, have a "
        f"correlation of {least.correlation:.3f} (median; {least.lowest:.3f} in "
        f"'{least.lowest_tensor}')."
    )


def _base(found: Evidence) -> Iterator[str]:
    if found.damaged_base:
        yield f"The base holds NaN or infinity in {some(_quoted(found.damaged_base))}."
    if strangers := found.strangers:
        yield (
            f"The base is not what they come from: {some([one.one for one in strangers])} "
            f"{_have(len(strangers))} a correlation of "
            f"{max(one.correlation for one in strangers):.3f} with it. Methods that need a base "
            "would merge noise."
        )
    yield from _renamed(found, of_base=True)
    architecture = found.architecture
    if found.base is not None and architecture.lacking:
        yield (
            f"The base lacks {some(_quoted(architecture.lacking))}, or has another shape there: "
            + (
                "methods that need a base merge the rest, and one model's are taken (--copy)."
                if architecture.based >= 0.5
                else "methods that need a base refuse."
            )
        )


def _heads(found: Evidence) -> Iterator[str]:
    """Single layers of their own start in models that are kin."""
    own = dict.fromkeys(name for pair in found.pairs if pair.same for name in pair.unlike)
    if own:
        yield (
            f"{some(_quoted(list(own)))} {_have(len(own))} nothing in common "
            "though the other layers do, as heads that were trained from starts of their own. "
            "Average them only if their classes are the same."
        )


def _scopes(found: Evidence) -> Iterator[str]:
    wide = [one for one in found.scopes if one.ratio >= MISMATCH]
    if not wide:
        return
    worst = max(wide, key=lambda one: one.ratio)
    large = found.names[worst.stds.index(max(worst.stds))]
    small = found.names[worst.stds.index(min(worst.stds))]
    more = f", and {len(wide) - 1} more layers by {MISMATCH:g} or more" if len(wide) > 1 else ""
    apart = (
        f"spread {worst.ratio:.3g} times as far in {large} as in {small}"
        if math.isfinite(worst.ratio)
        else f"are all the same in {small}, and not in {large}"
    )
    yield (
        f"Scopes differ: weights of '{worst.tensor}' {apart}{more}; an average has the wider ones' "
        "directions there."
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


def _have(count: int) -> str:
    return "has" if count == 1 else "have"


def _quoted(names: Sequence[str]) -> list[str]:
    return [f"'{name}'" for name in names]
