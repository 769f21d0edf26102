"""The study of scopes, from one pass; after Xu et al., Weight Scope Alignment, 2408.12237."""

import math
from collections.abc import Iterator, Sequence
from itertools import combinations
from typing import Unpack

from ...errors import MergeError
from ...ops.distribution import Scope
from ...training.additions.scopes import fuse_scopes, scope_divergence
from ...views.models import Model
from ..onepass.gathering import statistics_of
from ..onepass.statistics import Statistics, TensorStatistics
from ..study import How
from . import Scopes
from .result import Fused, ScopePair, ScopeRow, ScopesResult


def compute(
    study: Scopes, models: Sequence[Model], base: Model | None = None, **how: Unpack[How]
) -> ScopesResult:
    """The study of scopes; see `Scopes`."""
    return scopes_of(statistics_of(models, base, **how), study)


def scopes_of(found: Statistics, study: Scopes | None = None) -> ScopesResult:
    """The same from statistics that are there.

    Raises:
        MergeError: no tensor of these roles, with spread, is in all models.
    """
    roles = (study or Scopes()).roles
    taken = [one for one in found.among(roles) if all(_std(one))]
    flat = [one.name for one in found.among(roles) if not all(_std(one))]
    if not taken:
        raise MergeError(
            f"no tensor of the roles {', '.join(roles)} that has spread is in all models: "
            "stockpot inspect shows roles."
        )
    base = "the base" if found.base else ""
    return ScopesResult(
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
