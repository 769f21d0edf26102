"""The study of scopes, from one pass; after Xu et al., Weight Scope Alignment, 2408.12237."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import combinations
from statistics import median
from typing import Unpack

from ...errors import MergeError
from ...values.plain import plain_values, rows_csv
from ...training import Scope, fuse_scopes, scope_divergence
from ..onepass.gathering import How, Model, statistics_of
from ..onepass.statistics import Statistics, TensorStatistics

ROLES = ("conv", "matrix")
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
class Scopes:
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

    def to_csv(self) -> str:
        """All rows under a header of the column names."""
        return rows_csv(ScopeRow, self.rows)

    def as_dict(self) -> dict[str, object]:
        """Everything, as JSON has it."""
        found = {"study": "scopes", **asdict(self), "sentences": self.sentences}
        return {key: plain_values(value) for key, value in found.items()}


def scopes(
    models: Sequence[Model],
    *,
    base: Model | None = None,
    roles: Sequence[str] = ROLES,
    **how: Unpack[How],
) -> Scopes:
    """How far apart the scopes of models are, layer by layer, and whether weights are normal.

    A scope is the mean μ and the standard deviation σ of a weight tensor's entries. The target of
    fusing is μ* = (1/K) Σ_k μ_k, σ*² = (1/K) Σ_k σ_k².

    Args:
        models: checkpoints or state dicts.
        base: what they were fine-tuned from; its scope is shown beside theirs.
        roles: of tensors that are looked at, as `stockpot inspect` calls them.
        how: names, private, memory, workers, progress, as of `statistics_of`.

    Raises:
        MergeError: no tensor of these roles is in all models.
        StockpotError: as `statistics_of`.

    Cost: one pass. Deviations: none known; how the target's variance is fused is not said in what
        is at hand of the paper, so all three rules are told.
    """
    return scopes_of(statistics_of(models, base, **how), roles)


def scopes_of(found: Statistics, roles: Sequence[str] = ROLES) -> Scopes:
    """The same from statistics that are there.

    Raises:
        MergeError: no tensor of these roles, with spread, is in all models.
    """
    taken = [one for one in found.among(roles) if all(_std(one))]
    flat = [one.name for one in found.among(roles) if not all(_std(one))]
    if not taken:
        raise MergeError(
            f"no tensor of the roles {', '.join(roles)} that has spread is in all models: "
            "stockpot inspect shows roles."
        )
    base = "the base" if found.base else ""
    return Scopes(
        title="Scopes of weights",
        models=found.names,
        base=base,
        rows=tuple(row for one in taken for row in _rows(one, (*found.names, base))),
        fused=tuple(map(_fused, taken)),
        pairs=tuple(pair for one in taken for pair in _pairs(one, found.names)),
        facts=facts_of(found, taken, roles, flat),
    )


def facts_of(
    found: Statistics,
    taken: Sequence[TensorStatistics],
    roles: Sequence[str],
    flat: Sequence[str] = (),
) -> tuple[tuple[str, str], ...]:
    """What a study of these tensors was made of."""
    entries = sum(one.numel for one in taken)
    return (
        ("models", ", ".join(found.names)),
        ("base", found.base or "none"),
        ("tensors", f"{len(taken)} with {entries:,} entries; roles {', '.join(roles)}"),
        *((("without spread", ", ".join(flat)),) if flat else ()),
        *((f"left out: {one.name}", one.reason) for one in found.left),
        *(("note", text) for text in found.notes),
    )


def _std(one: TensorStatistics) -> list[float]:
    return [entries.moments.std for entries in one.models]


def _rows(one: TensorStatistics, called: Sequence[str]) -> Iterator[ScopeRow]:
    target = _target(one, "mean")
    every = (*one.models, *([one.base] if one.base else []))
    for model, entries in zip(called, every, strict=False):
        own = Scope(entries.moments.mean, entries.moments.std)
        moved = (target.mean - own.mean) ** 2 + (target.std - own.std) ** 2
        yield ScopeRow(
            tensor=one.name,
            model=model,
            entries=one.numel,
            mean=own.mean,
            std=own.std,
            skewness=entries.moments.skewness,
            kurtosis=entries.moments.kurtosis,
            distance=entries.distance,
            kl=scope_divergence(own, target) if own.std else math.inf,
            factor=target.std / own.std if own.std else math.inf,
            change=math.sqrt(moved / (own.std**2 + own.mean**2)) if own.std else math.nan,
        )


def _target(one: TensorStatistics, rule: str) -> Scope:
    each = [{"w": Scope(e.moments.mean, e.moments.std)} for e in one.models]
    match rule:
        case "mixture":
            return fuse_scopes(each, "mixture")["w"]
        case "averaged":
            return fuse_scopes(each, "averaged")["w"]
        case _:
            return fuse_scopes(each)["w"]


def _fused(one: TensorStatistics) -> Fused:
    """The average's spread: |(1/K) Σ θ_k|² / n - mean², from the Gram matrix."""
    count = len(one.models)
    mean = math.fsum(e.moments.mean for e in one.models) / count
    within = math.fsum(e.moments.std**2 for e in one.models) / count
    apart = math.fsum(one.around_mean[k][k] for k in range(count)) / count / one.numel
    between = math.fsum((e.moments.mean - mean) ** 2 for e in one.models) / count
    return Fused(
        tensor=one.name,
        mean=_target(one, "mean").std,
        mixture=_target(one, "mixture").std,
        averaged=_target(one, "averaged").std,
        soup=math.sqrt(max(within + between - apart, 0.0)),
    )


def _pairs(one: TensorStatistics, called: Sequence[str]) -> Iterator[ScopePair]:
    each = [Scope(e.moments.mean, e.moments.std) for e in one.models]
    for i, j in combinations(range(len(each)), 2):
        kl = (scope_divergence(each[i], each[j]) + scope_divergence(each[j], each[i])) / 2
        yield ScopePair(tensor=one.name, one=called[i], other=called[j], kl=kl)


def _sentences(found: Scopes) -> Iterator[str]:
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
