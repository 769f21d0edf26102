"""What the study of averaging weights against averaging features gives (arXiv 2411.09263, 4)."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal, get_args

from ...evaluation.results.estimator import CORRELATION, POSITIVE, SHARE, Bounds, over_seeds
from ...evaluation.results.intervals import Interval
from ...values.result import Overview
from ..samples import SharedRow, shared_of
from ..study import MainTable, StudyResult

Kind = Literal["weights", "normalisation", "activation", "other", "block"]
"""Of a layer."""
Measure = Literal["cosine", "distance", "length", "spread", "own", "kept", "disagree", "variance"]
MEASURES: tuple[Measure, ...] = get_args(Measure)
_WITHIN: Mapping[Measure, Bounds] = {"cosine": CORRELATION, "disagree": SHARE}
"""Between what a measure lies where it is not merely positive."""
SHOWN: tuple[Measure, ...] = ("cosine", "distance", "spread", "own", "disagree", "variance")
"""What the terminal shows."""
_WORDS = (
    "cosine, distance: of the merged network's output h and the average of the members', distance "
    "over its length. spread: how far a member is. own: what the layer alone adds to the distance. "
    "disagree: share of units of which signs differ. variance: over the members'."
)
MERGED = "merged"
MENDED = "merged:bn"
"""The merged network with statistics of batch normalisation estimated again."""
ENSEMBLE = "logits-ensemble"
SINGLE = "single"
ROUNDING = 1e-5
"""What a layer adds below this is float32's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerAgreement:
    """One layer of a merged network against the members' average; h is the layer's output.

    Attributes:
        place: in forward order, from 0.
        layer: the module's name.
        kind: weights, normalisation, activation, other (pooling), or block (a residual sum).
        cosine: mean over samples of the cosine of h(merged) and mean_k h_k.
        distance: |h(merged) - mean_k h_k| / |mean_k h_k| over all samples.
        length: |h(merged)| / |mean_k h_k|.
        spread: sqrt(mean_k |h_k - mean h|²) / |mean_k h_k|: how far the members themselves are.
        own: what this layer alone adds: |f(mean_k x_k) - mean_k f_k(x_k)| / |mean_k f_k(x_k)|, with
            f the merged network's layer and x_k what reaches it in member k. NaN for blocks.
        kept: |f(mean_k x_k)| / |mean_k f_k(x_k)|.
        disagree: of an activation, the share of pairs of members and units of which just one has a
            positive input. NaN elsewhere.
        variance: over samples, summed over units: the merged network's over the members' mean.
    """

    place: int
    layer: str
    kind: Kind
    cosine: float
    distance: float
    length: float
    spread: float
    own: float
    kept: float
    disagree: float
    variance: float


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerRow(LayerAgreement):
    """A layer of one pool's merge.

    Attributes:
        cell: of the sweep; the network's name without one.
        seed: of the pool.
        variant: merged, or merged:bn with batch-norm statistics estimated again.
    """

    cell: str
    seed: int
    variant: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreRow:
    """Accuracy on the same samples, of one pool: single (their mean), merged, or an ensemble."""

    cell: str
    seed: int
    variant: str
    accuracy: float


GAP = "gap"
"""The ensemble's accuracy less the merge's, in `shared`."""


@dataclass(frozen=True, slots=True)
class Place:
    """A layer of an architecture, wherever its pools come from."""

    place: int
    layer: str
    kind: Kind


@dataclass(frozen=True, slots=True, kw_only=True)
class WeightsFeaturesResult(StudyResult):
    """What `weights_features` found.

    Attributes:
        title: the question.
        cells: in their order.
        rows: of every cell, pool, variant and layer.
        scores: accuracies.
        facts: for a reader.
        shared: of each accuracy, and of the gap; none in files of earlier versions.
    """

    file_kind: ClassVar[str] = "weights-features"
    main_figure: ClassVar[str] = "stockpot.studies.weights_features.figures:plot_distance"
    main_table: ClassVar[MainTable] = LayerRow, "rows"

    title: str
    cells: tuple[str, ...]
    rows: tuple[LayerRow, ...]
    scores: tuple[ScoreRow, ...]
    facts: tuple[tuple[str, str], ...]
    shared: tuple[SharedRow, ...] = ()

    def variants(self, cell: str) -> tuple[str, ...]:
        """Merged, and merged:bn where there is batch normalisation."""
        return tuple(dict.fromkeys(row.variant for row in self.rows if row.cell == cell))

    def places(self, cell: str) -> tuple[Place, ...]:
        """Its layers in forward order."""
        mine = (row for row in self.rows if (row.cell, row.variant) == (cell, MERGED))
        return tuple(dict.fromkeys(Place(row.place, row.layer, row.kind) for row in mine))

    def at(self, cell: str, variant: str, place: int, measure: Measure) -> Interval:
        """Mean over pools with its interval; NaN where the layer has no such value."""
        values = [
            float(getattr(row, measure))
            for row in self.rows
            if (row.cell, row.variant, row.place) == (cell, variant, place)
        ]
        return over_seeds(values, _WITHIN.get(measure, POSITIVE))

    def score(self, cell: str, variant: str) -> Interval:
        """Accuracy, mean over pools with its interval."""
        mine = [s.accuracy for s in self.scores if (s.cell, s.variant) == (cell, variant)]
        return over_seeds(mine, SHARE, shared_of(self.shared, cell, variant))

    def gap(self, cell: str) -> Interval:
        """How far the ensemble of logits is above the merge that one would use, pool by pool."""
        best = self.variants(cell)[-1]

        def by_seed(variant: str) -> dict[int, float]:
            mine = [s for s in self.scores if (s.cell, s.variant) == (cell, variant)]
            return {one.seed: one.accuracy for one in mine}

        ahead, behind = by_seed(ENSEMBLE), by_seed(best)
        gaps = [ahead[seed] - behind[seed] for seed in ahead]
        return over_seeds(gaps, SHARE.minus(SHARE), shared_of(self.shared, cell, GAP))

    def features(self, cell: str) -> Place:
        """The last layer before the logits; the only layer where there is no other."""
        return self.places(cell)[-2:][0]

    def widest(self, cell: str, variant: str = MERGED) -> Place:
        """The layer that alone adds the most, relative to its output."""
        alone = [(self.at(cell, variant, one.place, "own").value, one) for one in self.places(cell)]
        return max(((own, one) for own, one in alone if math.isfinite(own)), key=lambda p: p[0])[1]

    def mean_own(self, cell: str, kind: Kind, variant: str = MERGED) -> Interval | None:
        """What layers of a kind add alone, the mean over them; None where there are none."""
        places = {one.place for one in self.places(cell) if one.kind == kind}
        by_seed: dict[int, list[float]] = {}
        for row in self.rows:
            mine = (row.cell, row.variant) == (cell, variant) and row.place in places
            if mine and math.isfinite(row.own):
                by_seed.setdefault(row.seed, []).append(row.own)
        values = [math.fsum(many) / len(many) for many in by_seed.values()]
        return over_seeds(values, POSITIVE) if values else None

    @property
    def sentences(self) -> tuple[str, ...]:
        """What the numbers say of each architecture."""
        return tuple(_sentences(self))

    def overview(self) -> tuple[Overview, ...]:
        """Of the terminal."""
        return tuple(
            Overview(
                cell,
                ("layer", "kind", *SHOWN),
                tuple(
                    (p.layer, p.kind, *(self.at(cell, "merged", p.place, m).value for m in SHOWN))
                    for p in self.places(cell)
                ),
                _WORDS if cell == self.cells[-1] else "",
            )
            for cell in self.cells
        )


def _sentences(found: WeightsFeaturesResult) -> Iterator[str]:
    for cell in found.cells:
        last = found.features(cell)
        end = found.at(cell, MERGED, last.place, "distance")
        spread = found.at(cell, MERGED, last.place, "spread")
        cosine = found.at(cell, MERGED, last.place, "cosine")
        yield (
            f"{cell}: at its last features ({last.layer}) the merged network is "
            f"{words(end)} of their length away from the average of the features, with a cosine of "
            f"{cosine.value:.3f}; a single member is {spread.value:.3f} away."
        )
        yield f"{cell}: {_by_kind(found, cell)}"
        if len(found.variants(cell)) > 1:
            mended = found.at(cell, MENDED, last.place, "distance")
            before, after = (
                found.at(cell, variant, last.place, "variance") for variant in (MERGED, MENDED)
            )
            yield (
                f"{cell}: with batch-norm statistics estimated again the distance is "
                f"{words(mended)}, and the variance of those features is {after.value:.0%} of the "
                f"members' instead of {before.value:.0%}."
            )
        gap = found.gap(cell)
        yield (
            f"{cell}: the ensemble of logits is {100 * gap.value:.1f} points"
            f"{_ends(gap, 100, 1)} above {found.variants(cell)[-1]}."
        )


def _by_kind(found: WeightsFeaturesResult, cell: str) -> str:
    said: list[str] = []
    names: tuple[tuple[Kind, str], ...] = (
        ("weights", "layers with weights"),
        ("activation", "activations"),
        ("normalisation", "normalisations"),
    )
    for kind, name in names:
        own = found.mean_own(cell, kind)
        if own is not None:
            said.append(f"{name} {words(own)}")
    widest = found.widest(cell)
    if found.at(cell, MERGED, widest.place, "own").value < ROUNDING:
        return "no layer alone, given averaged inputs, is off the averaged outputs beyond rounding."
    signs = [
        found.at(cell, MERGED, one.place, "disagree").value
        for one in found.places(cell)
        if one.kind == "activation"
    ]
    share = f" Signs disagree on {_mean(signs):.0%} of units and pairs." if signs else ""
    return (
        f"given averaged inputs, {', '.join(said)} of their output's length is off in a layer "
        f"alone, on average; most in {widest.layer} ({widest.kind}).{share}"
    )


def words(one: Interval, digits: int = 3) -> str:
    """A value with its interval: "0.123 [0.101, 0.145]"; the value alone without one."""
    return f"{one.value:.{digits}f}{_ends(one, 1, digits)}"


def _ends(one: Interval, factor: float, digits: int) -> str:
    if not (math.isfinite(one.low) and math.isfinite(one.high)):
        return ""
    return f" [{factor * one.low:.{digits}f}, {factor * one.high:.{digits}f}]"


def _mean(values: Sequence[float]) -> float:
    finite = [one for one in values if math.isfinite(one)]
    return math.fsum(finite) / len(finite) if finite else math.nan
