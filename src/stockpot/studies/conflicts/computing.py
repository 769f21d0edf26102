"""The study of conflicts: signs, cosines and norms of task vectors by layer, from one pass."""

import math
from collections.abc import Iterator, Sequence
from itertools import combinations
from typing import Unpack

from ...errors import FieldError, MergeError
from ...views.models import Model
from ..interference.result import ALL
from ..onepass.gathering import statistics_of
from ..onepass.statistics import Centre, Statistics, TensorStatistics, cosine, summed
from ..scopes.computing import facts_of
from ..study import How
from . import Conflicts
from .result import ConflictPair, ConflictsResult, Election, TaskNorm


def compute(
    study: Conflicts, models: Sequence[Model], base: Model | None = None, **how: Unpack[How]
) -> ConflictsResult:
    """The study of conflicts; see `Conflicts`."""
    if len(models) < 2:
        raise FieldError(f"conflicts are between models: give two or more; got {len(models)}.")
    return conflicts_of(statistics_of(models, base, **how), study)


def conflicts_of(found: Statistics, study: Conflicts | None = None) -> ConflictsResult:
    """The same from statistics that are there. Where the base lacks a tensor, it is left out.

    Raises:
        MergeError: no tensor of these roles is in all models (and the base).
    """
    roles = (study or Conflicts()).roles
    wanted: Centre = "base" if found.base else "mean"
    taken = [one for one in found.among(roles) if one.centre == wanted]
    lacking = [one.name for one in found.among(roles) if one.centre != wanted]
    if not taken:
        raise MergeError(
            f"no tensor of the roles {', '.join(roles)} is in all models"
            f"{' and the base' if found.base else ''}: stockpot inspect shows what is where."
        )
    names = found.names
    return ConflictsResult(
        title="Conflicts between task vectors",
        models=names,
        centre=wanted,
        pairs=(*_all_pairs(taken, names), *(p for one in taken for p in _pairs(one, names))),
        norms=(*_all_norms(taken, names), *(n for one in taken for n in _norms(one, names))),
        elections=(_every(taken), *map(_election, taken)),
        facts=(
            *facts_of(found, taken, roles),
            *((("not in the base", ", ".join(lacking)),) if lacking else ()),
        ),
    )


def expected_agreement(cosine: float) -> float:
    """1 - arccos(c) / π: how often the signs of two jointly normal numbers agree.

    Example:
        >>> expected_agreement(0.0), expected_agreement(1.0)
        (0.5, 1.0)
    """
    return 1 - math.acos(cosine) / math.pi if math.isfinite(cosine) else math.nan


def _pairs(one: TensorStatistics, names: Sequence[str]) -> Iterator[ConflictPair]:
    for i, j in combinations(range(len(names)), 2):
        angle = cosine(one.deltas, i, j)
        yield ConflictPair(
            tensor=one.name,
            centre=one.centre,
            one=names[i],
            other=names[j],
            cosine=angle,
            agree=one.signs.agree[i][j],
            expected=expected_agreement(angle),
        )


def _all_pairs(taken: Sequence[TensorStatistics], names: Sequence[str]) -> Iterator[ConflictPair]:
    gram = summed([one.deltas for one in taken])
    for i, j in combinations(range(len(names)), 2):
        angle = cosine(gram, i, j)
        met = [one.signs.both[i][j] * one.numel for one in taken]
        alike = math.fsum(one.signs.agree[i][j] * n for one, n in zip(taken, met, strict=True) if n)
        yield ConflictPair(
            tensor=ALL,
            centre=taken[0].centre,
            one=names[i],
            other=names[j],
            cosine=angle,
            agree=_quotient(alike, math.fsum(met)),
            expected=expected_agreement(angle),
        )


def _norms(one: TensorStatistics, names: Sequence[str]) -> Iterator[TaskNorm]:
    for k, model in enumerate(names):
        yield TaskNorm(
            tensor=one.name,
            model=model,
            entries=one.numel,
            norm=math.sqrt(one.deltas[k][k]),
            relative=_quotient(math.sqrt(one.deltas[k][k]), math.sqrt(max(one.gram[k][k], 0.0))),
            nonzero=one.signs.nonzero[k],
        )


def _all_norms(taken: Sequence[TensorStatistics], names: Sequence[str]) -> Iterator[TaskNorm]:
    entries = sum(one.numel for one in taken)
    for k, model in enumerate(names):
        norm = math.sqrt(math.fsum(one.deltas[k][k] for one in taken))
        whole = math.sqrt(math.fsum(one.gram[k][k] for one in taken))
        yield TaskNorm(
            tensor=ALL,
            model=model,
            entries=entries,
            norm=norm,
            relative=_quotient(norm, whole),
            nonzero=math.fsum(one.signs.nonzero[k] * one.numel for one in taken) / entries,
        )


def _election(one: TensorStatistics) -> Election:
    return Election(tensor=one.name, majority=one.signs.majority, unanimous=one.signs.unanimous)


def _every(taken: Sequence[TensorStatistics]) -> Election:
    """Of all tensors as one; elements of tensors whose task vectors are 0 have no say."""
    voting = [one for one in taken if any(one.signs.nonzero)]
    votes = [one.numel * math.fsum(one.signs.nonzero) for one in voting]
    sizes = [one.numel * one.signs.touched for one in voting]
    majority = math.fsum(v * one.signs.majority for v, one in zip(votes, voting, strict=True))
    unanimous = math.fsum(s * one.signs.unanimous for s, one in zip(sizes, voting, strict=True))
    return Election(
        tensor=ALL,
        majority=_quotient(majority, math.fsum(votes)),
        unanimous=_quotient(unanimous, math.fsum(sizes)),
    )


def _quotient(part: float, whole: float) -> float:
    return part / whole if whole > 0 else math.nan
