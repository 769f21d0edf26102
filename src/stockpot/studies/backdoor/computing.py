"""`contributors`: which model moves a merge most, where, and which is unlike the others.

Shapes: T tensors, K models.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Unpack

import numpy as np
from torch import Tensor

from ...checkpoints.entry import Checkpoint
from ...core import Method
from ...engine.merge import merge_opened
from ...engine.options import Options
from ...errors import FieldError, MergeError
from ...recipes.reading.recipe import parse_recipe
from ...values.fields import kebab_name
from ...views.models import Model, checkpoint_of
from ..interference.result import ALL
from ..onepass.deviations import Deviation, Floats, deviations, places, stacked
from ..onepass.gathering import statistics_of
from ..onepass.statistics import Centre, Statistics, TensorStatistics
from ..scopes.computing import facts_of
from ..study import How
from . import AVERAGE, Backdoor
from .result import EVIDENCE, FEWEST, BackdoorResult, Contribution, Suspicion


def compute(
    study: Backdoor, models: Sequence[Model], base: Model | None = None, **how: Unpack[How]
) -> BackdoorResult:
    """The study of contributors; see `Backdoor`."""
    if len(models) < 2:
        raise FieldError(f"contributors are two or more: give more models; got {len(models)}.")
    found = statistics_of(models, base, **how)
    if study.method == AVERAGE:
        return backdoor_of(found, study)
    taken = _taken(found, study.roles)
    inside = frozenset(one.name for one in found.tensors if one.centre == taken[0].centre)
    moved = left_out(
        models,
        base,
        study.method,
        inside,
        memory=how.get("memory", "2GiB"),
        workers=how.get("workers"),
        seed=study.seed,
    )
    return backdoor_of(found, study, moved)


def backdoor_of(
    found: Statistics,
    study: Backdoor | None = None,
    moved: Mapping[str, tuple[Sequence[float], float]] | None = None,
) -> BackdoorResult:
    """The same from statistics that are there.

    Args:
        found: of two models or more.
        study: what is looked at.
        moved: by tensor, |M - M_i| of each model, and |M - base| (|M| without a base), of the
            study's method; of the average, which needs no merge, where nothing is given.

    Raises:
        MergeError: no tensor of these roles is in all models (and the base).
    """
    study = study or Backdoor()
    roles, threshold, method = study.roles, study.threshold, study.method
    taken = _taken(found, roles)
    deltas_TKK = stacked([one.deltas for one in taken])
    around_base = found.base is not None
    suspicions: tuple[Suspicion, ...] = ()
    if len(found.names) >= FEWEST:
        off = deviations(deltas_TKK, around_base=around_base)
        suspicions = tuple(
            _suspicion(name, one, taken, threshold)
            for name, one in zip(found.names, off, strict=True)
        )
    given = moved or dict(_average(taken, deltas_TKK, around_base=around_base))
    centre = taken[0].centre
    wanted = [one.name for one in found.among(roles) if one.centre != centre]
    return BackdoorResult(
        title="Who moves the merge, and who is odd",
        models=found.names,
        centre=centre,
        method=kebab_name(type(method)),
        threshold=threshold,
        rows=tuple(_rows(found.names, taken, deltas_TKK, given, around_base=around_base)),
        suspicions=suspicions,
        damaged=tuple((one.name, one.reason) for one in found.left if "NaN" in one.reason),
        facts=(
            ("merge", repr(method)),
            *facts_of(found, taken, roles),
            *((("not in the base", ", ".join(wanted)),) if wanted else ()),
        ),
    )


def _taken(found: Statistics, roles: Sequence[str]) -> list[TensorStatistics]:
    wanted: Centre = "base" if found.base else "mean"
    taken = [one for one in found.among(roles) if one.centre == wanted]
    if taken:
        return taken
    damaged = [f"'{one.name}' {one.reason}" for one in found.left if "NaN" in one.reason]
    raise MergeError(
        f"no tensor of the roles {', '.join(roles)} is in all models"
        f"{' and the base' if found.base else ''}"
        + (f"; {damaged[0]}" if damaged else "")
        + ": stockpot inspect shows what is where."
    )


def _average(
    taken: Sequence[TensorStatistics], deltas_TKK: Floats, *, around_base: bool
) -> Iterator[tuple[str, tuple[Sequence[float], float]]]:
    """|M - M_i| = distance_i / K, and |M - base| or |M|, by tensor."""
    count = deltas_TKK.shape[1]
    influence_TK = places(deltas_TKK, around_base=around_base).distances.T / count
    sums = deltas_TKK if around_base else stacked([one.gram for one in taken])
    whole_T = np.sqrt(np.maximum(sums.sum((1, 2)), 0.0)) / count
    for one, influence_K, whole in zip(taken, influence_TK, whole_T, strict=True):
        yield one.name, (influence_K.tolist(), float(whole))


def _rows(
    names: Sequence[str],
    taken: Sequence[TensorStatistics],
    deltas_TKK: Floats,
    moved: Mapping[str, tuple[Sequence[float], float]],
    *,
    around_base: bool,
) -> Iterator[Contribution]:
    found = places(deltas_TKK, around_base=around_base)
    distance_K, share_KT = found.distance, found.shares
    whole = math.hypot(*(moved[one.name][1] for one in taken))
    for k, model in enumerate(names):
        influence = math.hypot(*(moved[one.name][0][k] for one in taken))
        yield Contribution(
            tensor=ALL,
            model=model,
            entries=sum(one.numel for one in taken),
            length=float(found.lengths[k]),
            distance=float(distance_K[k]),
            share=1.0,
            cosine=float(found.cosine[k]),
            influence=influence,
            relative=_quotient(influence, whole),
        )
    for place, one in enumerate(taken):
        influence_K, length = moved[one.name]
        for k, model in enumerate(names):
            yield Contribution(
                tensor=one.name,
                model=model,
                entries=one.numel,
                length=math.sqrt(one.deltas[k][k]),
                distance=float(found.distances[k, place]),
                share=float(share_KT[k, place]),
                cosine=float(found.cosines[k, place]),
                influence=float(influence_K[k]),
                relative=_quotient(float(influence_K[k]), length),
            )


def _suspicion(
    model: str, off: Deviation, taken: Sequence[TensorStatistics], threshold: float
) -> Suspicion:
    values = {name: float(getattr(off, name)) for name in EVIDENCE}
    strongest = max(EVIDENCE, key=lambda name: values[name])
    return Suspicion(
        model=model,
        **values,
        tensor=taken[off.place].name,
        score=values[strongest],
        evidence=strongest,
        alarm=values[strongest] > threshold,
    )


def _quotient(part: float, whole: float) -> float:
    return part / whole if whole > 0 else math.nan


def left_out(
    models: Sequence[Model],
    base: Model | None,
    method: Method,
    tensors: frozenset[str],
    *,
    memory: int | str = "2GiB",
    workers: int | None = None,
    seed: int = 0,
) -> Mapping[str, tuple[Sequence[float], float]]:
    """By tensor |M - M_i| for each of K models, and |M - base|, or |M| without a base.

    M merges all models, M_i all but model i, each from the same seed; a method that draws by the
    number of a model draws anew for those behind the one that is left out.

    Args:
        models, base: checkpoints or state dicts.
        method: one that takes K - 1 models as well, and no statistics of data.
        tensors: what is merged; a threshold over the model is over these.
        memory, workers, seed: of the merges.

    Raises:
        FieldError: the method needs statistics of data, or does not take K and K - 1 models.
        StockpotError: it refuses these models, or one fewer.

    Cost: K + 1 merges, 2 K + 1 passes over merged models, of which two are in memory.
    """
    if method.needs.statistics:
        raise FieldError(
            f"{kebab_name(type(method))} needs statistics of data, which leaving models out has "
            "not: take another method."
        )
    least, most = method.needs.models
    if base is None and not least < len(models) <= (most or len(models)):
        span = f"{least} or more" if most is None else str(most)
        raise FieldError(
            f"{kebab_name(type(method))} takes {span} models, and has to merge all {len(models)} "
            f"and all but one: take another method{' or more models' if most is None else ''}."
        )
    options = Options(memory=memory, workers=workers, device="cpu")
    held = [_opened(model, f"model {k + 1}", tensors) for k, model in enumerate(models)]
    origin = None if base is None else _opened(base, "the base", tensors)

    def merged(chosen: Sequence[Checkpoint]) -> dict[str, Tensor]:
        data = {
            "method": method,
            "models": [{"path": one.label} for one in chosen],
            "base": origin and origin.label,
            "seed": seed,
        }
        return merge_opened(parse_recipe(data), chosen, origin, options)

    whole = merged(held)
    told = statistics_of([whole], base, memory=memory, workers=workers)
    size = {
        one.name: math.sqrt((one.gram if base is None else one.deltas)[0][0])
        for one in told.tensors
    }
    moved: dict[str, list[float]] = {name: [] for name in size}
    for k in range(len(held)):
        rest = merged([*held[:k], *held[k + 1 :]])
        for one in statistics_of([whole, rest], memory=memory, workers=workers).tensors:
            moved[one.name].append(2 * math.sqrt(one.deltas[0][0]))  # around the mean of the two
    return {name: (each, size[name]) for name, each in moved.items()}


def _opened(model: Model, label: str, tensors: frozenset[str]) -> Checkpoint:
    found = checkpoint_of(model, label)
    entries = {name: one for name, one in found.entries.items() if name in tensors}
    return replace(found, entries=entries)
