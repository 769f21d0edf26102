"""What the study of scopes gives."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from statistics import median
from typing import ClassVar

from ..study import MainTable, StudyResult

NORMAL = 0.02
"""Up to this distance from a normal distribution we call weights close to normal."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ScopeRow:
    """One tensor in one model.

    Attributes:
        tensor, model: their names.
        entries: how many the tensor has.
        mean, std: the scope.
        skewness, kurtosis: 0 of a normal distribution.
        distance: Kolmogorov and Smirnov's, to the normal distribution of this scope.
        kl: KL(N(μ, σ²) || N(μ*, σ*²)) in nats; the target is fused by the mean of variances.
        factor: σ* / σ, what rescaling to the target multiplies by.
        change: |w' - w| / |w|, how far rescaling to the target would move the weights.
    """

    tensor: str
    model: str
    entries: int
    mean: float
    std: float
    skewness: float
    kurtosis: float
    distance: float
    kl: float
    factor: float
    change: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Fused:
    """Standard deviations that one tensor's models could be given, and that of their average.

    Attributes:
        tensor: its name.
        mean, mixture, averaged: σ* by `fuse_scopes`' three rules.
        soup: of the entries of the plain average of the models.
    """

    tensor: str
    mean: float
    mixture: float
    averaged: float
    soup: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ScopePair:
    """KL between two models' scopes of one tensor, the mean of both directions, in nats."""

    tensor: str
    one: str
    other: str
    kl: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ScopesResult(StudyResult):
    """What `scopes` found.

    Attributes:
        title: the question.
        models: what they are called.
        base: what the base is called among rows; empty where there is none.
        rows: of every tensor and model, and of the base.
        fused: of every tensor, over the models without the base.
        pairs: of every tensor and two models.
        facts: for a reader.
    """

    file_kind: ClassVar[str] = "scopes"
    main_figure: ClassVar[str] = "stockpot.studies.scopes.figures:plot_scopes"
    main_table: ClassVar[MainTable] = ScopeRow, "rows"

    title: str
    models: tuple[str, ...]
    base: str
    rows: tuple[ScopeRow, ...]
    fused: tuple[Fused, ...]
    pairs: tuple[ScopePair, ...]
    facts: tuple[tuple[str, str], ...]

    @property
    def tensors(self) -> tuple[str, ...]:
        """Their names, in the order of the network."""
        return tuple(one.tensor for one in self.fused)

    @property
    def sentences(self) -> tuple[str, ...]:
        """What the numbers say."""
        return tuple(_sentences(self))


def _sentences(found: ScopesResult) -> Iterator[str]:
    own = [row for row in found.rows if row.model in found.models]
    normal = sum(row.distance <= NORMAL for row in own)
    worst = max(own, key=lambda row: row.distance)
    yield (
        f"{normal} of {len(own)} weight tensors are within {NORMAL} of a normal distribution "
        f"(Kolmogorov and Smirnov's distance; median {median(r.distance for r in own):.3f}); the "
        f"furthest is '{worst.tensor}' of {worst.model} with {worst.distance:.3f}."
    )
    if not found.pairs:
        return
    spread = {
        name: max(stds) / min(stds)
        for name in found.tensors
        if (stds := [row.std for row in own if row.tensor == name])
    }
    widest = max(spread, key=lambda name: spread[name])
    far = max(found.pairs, key=lambda pair: pair.kl)
    yield (
        "Between models the standard deviation of a layer differs by a factor of "
        f"{median(spread.values()):.3f} (median over layers), at most {spread[widest]:.3f} in "
        f"'{widest}'. KL between two scopes has a mean of "
        f"{math.fsum(p.kl for p in found.pairs) / len(found.pairs):.2g} nats and is largest, "
        f"{far.kl:.2g}, in '{far.tensor}' between {far.one} and {far.other}."
    )
    kept = median(one.soup / one.mean for one in found.fused)
    alone = median(one.averaged / one.mean for one in found.fused)
    yield (
        f"The plain average keeps {kept:.1%} of the models' standard deviation (median over "
        f"layers); of independent weights it would keep {alone:.1%}."
    )
    changes = [row for row in own if math.isfinite(row.change)]
    most = max(changes, key=lambda row: row.change)
    yield (
        "Rescaling every model to the fused scope would move weights by "
        f"{100 * median(row.change for row in changes):.2g}% of their length (median), at "
        f"most {100 * most.change:.2g}% in '{most.tensor}' of {most.model}."
    )
