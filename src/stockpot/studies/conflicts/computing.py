"""The study of conflicts: signs, cosines and norms of task vectors by layer, from one pass."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import combinations
from statistics import median
from typing import Unpack

from ...errors import FieldError, MergeError
from ...values.plain import plain_values, rows_csv
from ..interference.result import ALL
from ..onepass.gathering import How, Model, statistics_of
from ..scopes.computing import facts_of
from ..onepass.statistics import (
    Centre,
    Statistics,
    TensorStatistics,
    cosine,
    summed,
)

ROLES = ("conv", "matrix", "embedding", "expert-stack", "vector", "scalar")
"""What is trained; not the statistics of batch norm."""
GAP = 0.05
"""Agreement of signs that is so far from what angles say is pointed at."""
LARGE = 100
"""Tensors with fewer entries are not named in sentences where there are others."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConflictPair:
    """Two task vectors of one tensor, or of all together.

    Attributes:
        tensor: its name; "all" for all of them as one vector.
        centre: what task vectors are differences from.
        one, other: the models.
        cosine: of the angle between them; NaN where one is 0.
        agree: of the elements at which neither is 0, the share at which their signs are equal.
        expected: 1 - arccos(cosine) / π, the share of two jointly normal vectors at this angle.
    """

    tensor: str
    centre: Centre
    one: str
    other: str
    cosine: float
    agree: float
    expected: float


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskNorm:
    """One task vector of one tensor, or of all together.

    Attributes:
        tensor, model: their names.
        entries: how many the tensor has.
        norm: |δ|.
        relative: |δ| / |θ|, of the model itself.
        nonzero: the share of elements at which δ is not 0.
    """

    tensor: str
    model: str
    entries: int
    norm: float
    relative: float
    nonzero: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Election:
    """How clear an election of signs would be in one tensor, or in all together.

    Attributes:
        tensor: its name.
        majority: of all entries of task vectors that are not 0, the share with the sign that most
            models have at that element; half of those with a tie.
        unanimous: of the elements at which some task vector is not 0, the share at which no two
            have opposite signs.
    """

    tensor: str
    majority: float
    unanimous: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Conflicts:
    """What `conflicts` found.

    Attributes:
        title: the question.
        models: what they are called.
        centre: what task vectors are differences from: the base, or the mean of the models.
        pairs, norms, elections: of each tensor, and of all.
        facts: for a reader.
    """

    title: str
    models: tuple[str, ...]
    centre: Centre
    pairs: tuple[ConflictPair, ...]
    norms: tuple[TaskNorm, ...]
    elections: tuple[Election, ...]
    facts: tuple[tuple[str, str], ...]

    @property
    def tensors(self) -> tuple[str, ...]:
        """Their names, in the order of the network, without all."""
        return tuple(one.tensor for one in self.elections if one.tensor != ALL)

    @property
    def sentences(self) -> tuple[str, ...]:
        """What the numbers say."""
        return tuple(_sentences(self))

    def to_csv(self) -> str:
        """All pairs under a header of the column names."""
        return rows_csv(ConflictPair, self.pairs)

    def as_dict(self) -> dict[str, object]:
        """Everything, as JSON has it."""
        found = {"study": "conflicts", **asdict(self), "sentences": self.sentences}
        return {key: plain_values(value) for key, value in found.items()}


def conflicts(
    models: Sequence[Model],
    *,
    base: Model | None = None,
    roles: Sequence[str] = ROLES,
    **how: Unpack[How],
) -> Conflicts:
    """Whether task vectors pull in one direction: angles, signs and lengths, layer by layer.

    δ_k = θ_k - base, or without a base θ_k less the mean of the models. Around the mean task
    vectors sum to 0, so cosines are -1 / (K - 1) and a third of signs agree for K = 3 where models
    are alike in all but noise; with two models they are opposite whatever they have learned.

    Args:
        models: two checkpoints or state dicts or more.
        base: what they were fine-tuned from.
        roles: of tensors that are looked at, as `stockpot inspect` calls them.
        how: names, private, memory, workers, progress, as of `statistics_of`.

    Raises:
        FieldError: fewer than two models.
        MergeError: no tensor of these roles is in all models.
        StockpotError: as `statistics_of`.

    Cost: one pass.
    """
    if len(models) < 2:
        raise FieldError(f"conflicts are between models: give two or more; got {len(models)}.")
    return conflicts_of(statistics_of(models, base, **how), roles)


def conflicts_of(found: Statistics, roles: Sequence[str] = ROLES) -> Conflicts:
    """The same from statistics that are there. Where the base lacks a tensor, it is left out.

    Raises:
        MergeError: no tensor of these roles is in all models (and the base).
    """
    wanted: Centre = "base" if found.base else "mean"
    taken = [one for one in found.among(roles) if one.centre == wanted]
    lacking = [one.name for one in found.among(roles) if one.centre != wanted]
    if not taken:
        raise MergeError(
            f"no tensor of the roles {', '.join(roles)} is in all models"
            f"{' and the base' if found.base else ''}: stockpot inspect shows what is where."
        )
    names = found.names
    return Conflicts(
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


def _sentences(found: Conflicts) -> Iterator[str]:
    overall = [pair for pair in found.pairs if pair.tensor == ALL]
    known = [pair for pair in overall if math.isfinite(pair.cosine)]
    if not known:
        yield "The models are copies: no task vector is longer than 0."
        return
    yield (
        f"Around the {found.centre}, task vectors have cosines of "
        f"{_span([p.cosine for p in known])} and their signs agree at "
        f"{_span([p.agree for p in known], percent=True)} of elements; jointly normal vectors at "
        f"these angles would agree at {_span([p.expected for p in known], percent=True)}."
    )
    count = len(found.models)
    if found.centre == "mean":
        yield (
            f"Task vectors around the mean sum to 0: {count} of equal length that are alike in "
            f"nothing have cosines of {-1 / (count - 1):.3g}"
            + (", whatever they have learned: give --base." if count == 2 else ".")
        )
    every = next(one for one in found.elections if one.tensor == ALL)
    yield (
        f"The sign that most models have at an element is that of {every.majority:.1%} of entries"
        + (
            f"; at {every.unanimous:.1%} of elements no two disagree."
            if found.centre == "base"
            else "."
        )
    )
    gap = math.fsum(p.agree - p.expected for p in known) / len(known)
    if abs(gap) > GAP:
        yield (
            "Signs agree oftener than the angles say: many small entries move alike, as where "
            "weight decay alone moves weights, and few large ones do not."
            if gap > 0
            else "Signs agree more rarely than the angles say: a few large entries make the angle."
        )
    sizes = {one.tensor: one.entries for one in found.norms}
    large = {name for name, size in sizes.items() if size >= LARGE} or set(sizes)
    angles = [p for p in found.pairs if p.tensor in large - {ALL} and math.isfinite(p.cosine)]
    if not angles:
        return
    low = min(angles, key=lambda pair: pair.cosine)
    yield (
        f"They differ most in '{low.tensor}', where {low.one} and {low.other} have a cosine of "
        f"{low.cosine:.3f} (median over layers and pairs: {median(p.cosine for p in angles):.3f})."
    )
    norms = [one for one in found.norms if one.tensor == ALL]
    long, brief = (pick(norms, key=lambda one: one.norm) for pick in (max, min))
    yield (
        f"The longest task vector, of {long.model}, has {long.relative:.2%} of its model's length; "
        + (
            f"it is {long.norm / brief.norm:.2f} times as long as that of {brief.model}."
            if brief.norm
            else f"that of {brief.model} is 0."
        )
    )


def _span(values: Sequence[float], *, percent: bool = False) -> str:
    low, high = (format(pick(values), ".1%" if percent else ".3f") for pick in (min, max))
    return low if low == high else f"{low} to {high}"
