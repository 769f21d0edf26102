"""What the study of magnitude gives, after arXiv 2411.09263, sections 5 and 6.3."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from ...evaluation.results.intervals import Interval
from ..study import StudyResult

Scoring = Literal["wrong", "published"]
"""What an output that is not finite is: wrong; or, as torch.max has it, NaN is the largest."""

ALL = "all"
"""What the mean over tensors is called."""

SOUP = "uniform-soup"
ENSEMBLE = "logits-ensemble"


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """One column at one size, over pools.

    Attributes:
        perturbation: what was done to ingredients.
        arithmetic: float32, float64, or carried (exponents of their own, never full).
        n: ingredients.
        size: factor, or noise.
        method: the column; "a - b" for a difference of two.
        scoring: what an output that is not finite is.
        accuracy, low, high: with its 95% interval over samples, and pools where there are several.
        non_finite: share of samples whose output is not finite.
    """

    perturbation: str
    arithmetic: str
    n: int
    size: float
    method: str
    scoring: Scoring
    accuracy: float
    low: float
    high: float
    non_finite: float


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchPoint:
    """Soup and ensemble on one batch of the test split, in float32 as published."""

    pool: int
    size: float
    batch: int
    soup: float
    ensemble: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Overflow:
    """Where float32 is full when every tensor grows by one factor.

    Attributes:
        pool: its seed.
        of: "single" (the first ingredient), "soup" (of most ingredients), or "ensemble" (the first
            of its members to overflow).
        predicted: from the norms of the layers; NaN where parts are not known.
        observed: where half of the samples have no finite output or another class than in an
            arithmetic that is not full; NaN where it was not looked for.
    """

    pool: int
    of: str
    predicted: float
    observed: float


@dataclass(frozen=True, slots=True, kw_only=True)
class MomentRow:
    """Measured terms of equations 9 to 14 for one tensor, means over pools with intervals."""

    tensor: str
    quantity: str
    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Bound:
    """Equations 15 and 16 at one layer of a network; in a result, geometric means over pools.

    Attributes:
        of: "single" or "soup".
        layer: its number, from 1.
        norm: the largest ‖h_l(x)‖/‖x‖ over samples.
        norm_bound: (15) over ‖x‖, with C = 1.
        spectral_bound: the product of the layers' largest singular values, which holds for
            networks without biases.
        constant: the C at which (15) is what was measured.
        variance: of the layer's outputs before ReLU, over samples and units.
        variance_bound: (16).
    """

    of: str
    layer: int
    norm: float
    norm_bound: float
    spectral_bound: float
    constant: float
    variance: float
    variance_bound: float


@dataclass(frozen=True, slots=True, kw_only=True)
class MagnitudeResult(StudyResult):
    """What `magnitude` found.

    Attributes:
        title: the question.
        pools, counts: seeds, and numbers of ingredients.
        perturbations: name to words.
        axes: name to what its size is called.
        points, gaps: every column, and soups less the logits ensemble.
        batches: soup against ensemble, of the most ingredients.
        overflows: of each pool.
        moments: of each tensor.
        bounds: of each layer; none where the network is not fully connected.
        facts: for a reader.
    """

    file_kind: ClassVar[str] = "magnitude"

    title: str
    pools: tuple[int, ...]
    counts: tuple[int, ...]
    perturbations: tuple[tuple[str, str], ...]
    axes: tuple[tuple[str, str], ...]
    points: tuple[Point, ...]
    gaps: tuple[Point, ...]
    batches: tuple[BatchPoint, ...]
    overflows: tuple[Overflow, ...]
    moments: tuple[MomentRow, ...]
    bounds: tuple[Bound, ...]
    facts: tuple[tuple[str, str], ...]

    def line(
        self, perturbation: str, arithmetic: str, n: int, method: str, scoring: Scoring = "wrong"
    ) -> tuple[Point, ...]:
        """One column, size by size."""
        wanted = perturbation, arithmetic, n, method, scoring
        every = self.gaps if " - " in method else self.points
        return tuple(
            p for p in every if (p.perturbation, p.arithmetic, p.n, p.method, p.scoring) == wanted
        )

    def arithmetics(self, perturbation: str) -> tuple[str, ...]:
        """Those that a perturbation was run in."""
        return tuple(
            dict.fromkeys(p.arithmetic for p in self.points if p.perturbation == perturbation)
        )

    @property
    def exact(self) -> str:
        """The widest arithmetic of the published experiment."""
        return self.arithmetics("everything")[-1]

    def full(self, of: str, kind: Literal["predicted", "observed"]) -> float:
        """Geometric mean over pools of where something overflows; NaN where it is not known."""
        found = [getattr(one, kind) for one in self.overflows if one.of == of]
        known = [one for one in found if math.isfinite(one)]
        if not known or len(known) < len(found):
            return math.nan
        return math.exp(math.fsum(map(math.log, known)) / len(known))

    def moment(self, quantity: str) -> Interval:
        """One quantity over all tensors."""
        row = next(o for o in self.moments if (o.tensor, o.quantity) == (ALL, quantity))
        return Interval(row.value, row.low, row.high)

    @property
    def sentences(self) -> tuple[str, ...]:
        """What the numbers say."""
        return tuple(_sentences(self))

    def table(self) -> tuple[type[Any], Sequence[object]]:
        """Of results.csv."""
        return Point, (*self.points, *self.gaps)


def _sentences(found: MagnitudeResult) -> Iterator[str]:
    if "everything" in dict(found.perturbations):
        yield from _published(found)
    yield from _overflowing(found)
    for name in ("rescaling", "noise", "temperature"):
        if name in dict(found.perturbations):
            yield _honest(found, name)
    yield from _variance(found)
    yield from _bounded(found)


def _published(found: MagnitudeResult) -> Iterator[str]:
    n, gap = found.counts[-1], f"{SOUP} - {ENSEMBLE}"
    line = found.line("everything", "float32", n, gap, "published")
    best = max(line, key=lambda p: p.accuracy)
    if best.low > 0:
        ensemble = _at(found.line("everything", "float32", n, ENSEMBLE), best.size)
        yield (
            f"As published (float32, NaN counted as the largest logit), the soup of {n} is "
            f"{_points(best)} above the logits ensemble at M = {best.size:.4g}, where "
            f"{ensemble.non_finite:.0%} of the ensemble's outputs are not finite."
        )
    else:
        yield (
            f"Even as published (float32), the soup of {n} is above the logits ensemble at no "
            f"factor: {_points(best)} at best, at M = {best.size:.4g}."
        )
    exact = found.line("everything", found.exact, n, gap)
    words = {"carried": "with carried exponents"}.get(found.exact, f"in {found.exact}")
    high, low = (pick(exact, key=lambda p: p.accuracy) for pick in (max, min))
    ensemble = found.line("everything", found.exact, n, ENSEMBLE)
    span = max(p.accuracy for p in ensemble[1:]) - min(p.accuracy for p in ensemble[1:])
    yield (
        f"In exact arithmetic ({words}) no output is lost and the difference of soup and ensemble "
        f"stays between {_points(low)} and {_points(high)} over the same factors, up to "
        f"M = {exact[-1].size:.4g}; beyond M = 1 the ensemble moves by {100 * span:.1f} points."
    )


def _overflowing(found: MagnitudeResult) -> Iterator[str]:
    single, soup = (found.full(one, "observed") for one in ("single", "soup"))
    if math.isnan(single):
        return
    predicted = found.full("single", "predicted")
    said = f"; the layers' norms predict {predicted:.4g}" if math.isfinite(predicted) else ""
    of_soup = f", of a soup at {soup:.4g}" if math.isfinite(soup) else ""
    yield (
        f"In float32 half the outputs of a single network are lost at M = {single:.4g}"
        f"{of_soup}{said}."
    )


def _honest(found: MagnitudeResult, name: str) -> str:
    n, words = found.counts[-1], dict(found.axes)[name]
    line = found.line(name, "float32", n, f"{SOUP} - {ENSEMBLE}")
    last = line[-1]
    worse = [p for p in line if p.high < 0]
    better = [p for p in line if p.low > 0]
    if not (worse or better):
        told = "soup and logits ensemble are told apart at no size"
    elif better and not worse:
        told = f"the soup is above the logits ensemble at {len(better)} of {len(line)} sizes"
    elif worse and not better:
        told = f"the soup is below the logits ensemble at {len(worse)} of {len(line)} sizes"
    else:
        told = (
            f"the soup is above the logits ensemble at {len(better)} and below it at "
            f"{len(worse)} of {len(line)} sizes"
        )
    return f"{name.capitalize()}: {told}; at the largest ({words} {last.size:.4g}) {_points(last)}."


def _variance(found: MagnitudeResult) -> Iterator[str]:
    if not found.moments:
        return
    half, all_, n = found.moment("of_average"), found.moment("of_all"), found.counts[-1]
    most = found.moment("maximum_of_average")
    yield (
        f"Averaging two ingredients leaves {_percent(half)} of the variance of their weights, not "
        f"50%, and averaging {n} leaves {_percent(all_)}, not {1 / n:.0%}; the largest entry is "
        f"{_percent(most)} of the larger one's."
    )
    delta = found.moment("delta_of_all")
    if math.isfinite(delta.value):
        yield (
            f"Of what was learned since the shared start, the average of {n} keeps "
            f"{_percent(delta)} of the variance."
        )


def _bounded(found: MagnitudeResult) -> Iterator[str]:
    last = [one for one in found.bounds if one.of == "single"][-1:]
    for one in last:
        first = next(o for o in found.bounds if o.of == "single")
        held = "holds" if one.variance <= one.variance_bound else "is broken"
        loose = math.log10(one.norm_bound / one.norm)
        ratio = math.log10(one.variance_bound / one.variance)
        yield (
            f"At layer {one.layer}, equation 15 with C = 1 is 10^{loose:.1f} times what was seen "
            f"(C = {one.constant:.2g} would be enough there, {first.constant:.2g} at layer 1); "
            f"equation 16 {held}: its bound over the measured variance is 10^{ratio:.1f}."
        )


def _at(line: tuple[Point, ...], size: float) -> Point:
    return next(p for p in line if p.size == size)


def _points(p: Point) -> str:
    return f"{100 * p.accuracy:+.1f} points [{100 * p.low:.1f}, {100 * p.high:.1f}]"


def _percent(one: Interval) -> str:
    value = f"{100 * one.value:.1f}%"
    return value if math.isnan(one.low) else f"{value} [{100 * one.low:.1f}, {100 * one.high:.1f}]"
