"""What was found of some models, and the reasons of a verdict, in sentences made of numbers."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import permutations
from statistics import median

from ....checkpoints.beside.networks import UNKNOWN, Sameness
from ....checkpoints.lineage import LEAST, Lineage
from ..comparing.architecture import BASE, Architecture, some
from ..comparing.gradients import Gradients
from ..comparing.kinship import Compared, Kinship, LayerKinship, percent
from ..comparing.likeness import DROWNED, MISMATCH, Copy, LayerScope
from ..result import OPPOSED, ModelFinding, Origin, Prospect, TaskVectors

TORN = 4.0
"""Standard deviations of one layer that differ by this factor are to be mended before a merge."""
BARRIER = 0.2
"""Nats by which the mean of the models may be worse than they are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What was found, before it is judged; see `DiagnosisResult`."""

    models: tuple[ModelFinding, ...]
    base: str | None
    architecture: Architecture
    compared: Compared
    lineage: Lineage | None
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
    sameness: Sameness = UNKNOWN
    unmeasured: bool = False
    """Data were given, but models of different tensors cannot be run as one network."""

    @property
    def names(self) -> tuple[str, ...]:
        """What the models are called."""
        return tuple(one.name for one in self.models)

    @property
    def origin(self) -> Origin:
        """How many starts the models come from, where enough of them was compared to say so."""
        if not self.compared.tells_origin:
            return "unknown"
        return "one" if len({one.origin for one in self.models}) == 1 else "several"

    @property
    def same_origin(self) -> bool:
        """Whether all models are known to come from one start."""
        return self.origin == "one"

    @property
    def majority(self) -> bool:
        """Whether more than half of the models come from one start."""
        return 2 * sum(one.origin == 1 for one in self.models) > len(self.models)

    @property
    def strangers(self) -> tuple[Kinship, ...]:
        """Of the models that make up the largest group, those that do not come from the base."""
        most = {one.name for one in self.models if one.origin == 1}
        return tuple(o for o in self.bases if o.known and not o.same and o.one in most)

    @property
    def doubted(self) -> bool:
        """Whether a sample of weights speaks against the base, though it is no stranger."""
        found = self.lineage
        return found is not None and found.kind in ("shifted", "held") and not self.strangers

    @property
    def opposed(self) -> bool:
        """Whether two task vectors are nearly each other's negative."""
        return self.task_vectors is not None and self.task_vectors.opposed

    @property
    def drowned(self) -> float:
        """The largest factor between two models, median over layers of σ_i / σ_j; 1 at least."""
        known = [one.stds for one in self.scopes if min(one.stds) > 0]
        if not known:
            return 1.0
        pairs = permutations(range(len(self.models)), 2)
        logs = (median(math.log(stds[i] / stds[j]) for stds in known) for i, j in pairs)
        return math.exp(max(logs))

    @property
    def barred(self) -> bool:
        """Whether the mean of the models is much worse than they are on the batches."""
        return self.gradients is not None and self.gradients.barrier > BARRIER

    @property
    def torn(self) -> tuple[LayerScope, ...]:
        """Layers whose standard deviations are so far apart that they are mended first."""
        return tuple(one for one in self.scopes if one.ratio >= TORN)


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
            + f". They share {percent(found.architecture.shared)} of the entries of the largest."
        )
    yield from _renamed(found, of_base=False)
    if found.sameness.unlike:
        yield (
            "The same tensors mean different things in them: "
            f"{'; '.join(found.sameness.unlike)}. A merge of them refuses."
        )
    if found.origin == "several":
        yield _origins(found)
    if found.opposed:
        yield _opposed(found)
    if found.drowned >= DROWNED:
        yield (
            f"Weights of one model are {found.drowned:.3g} times as large as another's (median "
            "layer): an average would be little else than the larger one."
        )
    if found.gradients and found.barred:
        yield _barrier(found.gradients)


def unknown(found: Evidence) -> Iterator[str]:
    """Why weights do not tell where the models come from, where they do not."""
    if found.origin != "unknown" or not found.compared.tensors:
        return
    extent = found.compared
    if not extent.layers:
        yield (
            "No layer can be compared, so that nothing says whether the models come from one "
            "start: of the tensors that they have alike, none is a matrix, convolution or "
            f"embedding of {LEAST} entries or more with any spread."
        )
        return
    yield (
        f"{_counted(extent.layers, 'layer')} can be compared, with "
        f"{percent(extent.layer_parameters / extent.of_parameters)} of the parameters of the "
        "largest model: too little to say whether the models come from one start."
    )


def _renamed(found: Evidence, *, of_base: bool) -> Iterator[str]:
    for one in found.architecture.renamed:
        if (BASE in (one.one, one.other)) == of_base:
            yield one.said


def _origins(found: Evidence) -> str:
    groups = dict[int, list[str]]()
    for one in found.models:
        groups.setdefault(one.origin, []).append(one.name)
    number = {one.name: one.origin for one in found.models}
    across = [one for one in found.pairs if number[one.one] != number[one.other]]
    each = " | ".join(some(names) for names in groups.values())
    return (
        f"By their weights they come from {len(groups)} starts: {each}. Correlations of their "
        f"layers across are {max(one.correlation for one in across):.3f} at most (median of "
        f"{_counted(max(one.compared for one in across), 'layer')}); fine-tunes of one start have "
        "nearly 1. Networks of different starts, and permuted ones, have their units in different "
        "orders, so that an average computes nothing sensible."
    )


def _opposed(found: Evidence) -> str:
    vectors = found.task_vectors
    assert vectors is not None
    return (
        f"The task vectors of {vectors.one} and {vectors.other} are opposite (cosine "
        f"{vectors.lowest:.3f}): what one has learned the other takes back. The average of all "
        f"keeps {_of_squares(vectors.kept)} of the squared length of task vectors."
    )


def _of_squares(share: float) -> str:
    return "less than 0.1%" if share < 0.001 else f"{share:.0%}" if share >= 0.1 else f"{share:.1%}"


def noted(found: Evidence) -> Iterator[str]:
    """What does not forbid a merge but should be known."""
    if found.same_origin and found.pairs:
        yield _kin(found)
    yield from (text[:1].upper() + text[1:] for text in found.sameness.notes)
    for one in found.models:
        if one.outlier and not one.damaged:
            yield f"{one.name} is an outlier: it {' and '.join(one.why)}."
    yield from _copies(found)
    yield from _base(found)
    yield from _heads(found)
    yield from _scopes(found)
    if found.same_origin and not found.strangers:
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
    if found.unmeasured:
        yield "No losses were measured: models of different tensors are not one network."
    yield found.compared.said


def _kin(found: Evidence) -> str:
    shared = "" if found.architecture.same else "In what they share, one start"
    begin = shared or "One start"
    measured = [one for one in found.pairs if not one.said]
    if not measured:
        one = min(found.pairs, key=lambda pair: not pair.body)
        heads = (
            " If that is the last layer and nothing else differs, the average of the models is "
            "the ensemble of their logits, exactly."
        )
        return f"{begin}: of {one.one} and {one.other}, {one.said}." + (heads if one.body else "")
    least = min(measured, key=lambda one: one.correlation)
    return (
        f"{begin}: the layers of {least.one} and {least.other}, which are least alike, have a "
        f"correlation of {least.correlation:.3f} (median of "
        f"{_counted(least.alike + len(least.unlike), 'layer')}; {least.lowest:.3f} in "
        f"'{least.lowest_tensor}')."
    )


def _copies(found: Evidence) -> Iterator[str]:
    """As far as they were compared, and no farther."""
    extent = found.compared
    for one in found.copies:
        whole, share = extent.whole, extent.share
        if one.other == BASE:
            whole, share = extent.whole_base, extent.base_parameters / max(extent.of_parameters, 1)
        limit = "" if whole else f" in what could be compared, {percent(share)} of their parameters"
        yield f"{one.one} and {one.other} hold {one.said}{limit}."


def _base(found: Evidence) -> Iterator[str]:
    if found.damaged_base:
        yield f"The base holds NaN or infinity in {some(_quoted(found.damaged_base))}."
    if strangers := found.strangers:
        yield (
            f"The base is not what they come from: {some([one.one for one in strangers])} "
            f"{_have(len(strangers))} a correlation of "
            f"{max(one.correlation for one in strangers):.3f} at most with it (median of "
            f"{_counted(max(one.compared for one in strangers), 'layer')}). Methods that need a "
            "base would merge noise."
        )
    if found.doubted and found.lineage:
        yield f"The base {found.lineage.said}. Methods that need a base are not advised."
    yield from _renamed(found, of_base=True)
    architecture = found.architecture
    if found.base is not None and architecture.lacking:
        yield (
            f"The base lacks {some(_quoted(architecture.lacking))}, or has another shape there: "
            + (
                "methods that need a base merge the rest, and one model's are taken (--copy)."
                if architecture.based >= 0.5
                else "it has less than half of what they share, and methods that need a base are "
                "not advised."
            )
        )


def _heads(found: Evidence) -> Iterator[str]:
    """Single layers of their own start in models that are kin."""
    own = dict.fromkeys(name for pair in found.pairs if pair.same for name in pair.unlike)
    if own and found.same_origin:
        yield (
            f"{some(_quoted(list(own)))} {_have(len(own))} nothing in common "
            "though most layers do, as heads that were trained from starts of their own. "
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
        f"keeps {_of_squares(vectors.kept)} of their squared length: of orthogonal ones "
        f"{1 / count:.0%} would stay, of equal ones 100%."
    )
    if -GAP > vectors.lowest > OPPOSED:
        yield (
            f"Some pull against each other: the lowest cosine is {vectors.lowest:.3f}, of "
            f"{vectors.one} and {vectors.other}."
        )
    if vectors.agree < vectors.expected - GAP:
        yield (
            f"Signs agree at {vectors.agree:.1%} of elements, more rarely than those of normal "
            f"vectors at such angles ({vectors.expected:.1%}), as where a few large entries make "
            "the angle."
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


def _counted(count: int, what: str) -> str:
    return f"{count:,} {what}{'s' * (count != 1)}"


def _span(values: Sequence[float]) -> str:
    low, high = min(values), max(values)
    return f"{low:.1%}" if low == high else f"{low:.1%} to {high:.1%}"


def _have(count: int) -> str:
    return "has" if count == 1 else "have"


def _quoted(names: Sequence[str]) -> list[str]:
    return [f"'{name}'" for name in names]
