"""The diagnosis of models: one pass over their weights, and no merge."""

import math
from collections.abc import Sequence
from dataclasses import replace
from itertools import combinations
from typing import Unpack

from ...checkpoints.beside.networks import compare_networks
from ...checkpoints.entry import Checkpoint
from ...checkpoints.lineage import lineage_of
from ...errors import FieldError
from ...views.models import Model, checkpoint_of
from ...views.naming import names_of
from ...views.seen import alike
from ..conflicts.computing import expected_agreement
from ..onepass.gathering import statistics_of
from ..onepass.statistics import Statistics, cosine, summed
from ..study import PARAMETERS, How
from . import Diagnosis
from .comparing.architecture import BASE, Architecture, compare_architectures
from .comparing.batches import gradients_of
from .comparing.gradients import Gradients
from .comparing.kinship import (
    Compared,
    compared,
    grouped,
    kinships,
    kinships_to_base,
    layers_of,
    percent,
)
from .comparing.likeness import FAR, SCALED, copies_of, scopes_by_layer, standings, trained
from .judging.prospects import prospects_of
from .judging.reasons import Evidence
from .judging.verdict import judged
from .result import DiagnosisResult, ModelFinding, TaskVectors

KIN_BY_TENSORS = 0.5
"""Models that share such a part of their entries differ in heads, not in what they are."""


def compute(
    study: Diagnosis, models: Sequence[Model], base: Model | None = None, **how: Unpack[How]
) -> DiagnosisResult:
    """The diagnosis; see `Diagnosis`."""
    if len(models) < 2:
        raise FieldError(f"a diagnosis is of models to be merged: give two; got {len(models)}.")
    called, private = names_of(models, how.get("names", ())), how.get("private", ())
    every = [checkpoint_of(model, name) for model, name in zip(models, called, strict=True)]
    start = None if base is None else checkpoint_of(base, BASE)
    every, start = _alike(every, start)
    architecture = compare_architectures(every, called, start, private)
    how = {**how, "names": called}
    found = statistics_of(every, start, **how)
    damaged_base = tuple(one.name for one in found.left if BASE in one.damaged)
    if damaged_base:  # what is broken in the base says nothing of the models
        found = replace(statistics_of(every, **how), base=found.base)
    layers = layers_of(found)
    extent = compared(every, private, found, layers)
    pairs = kinships(layers, called)
    bases = kinships_to_base(layers, called, BASE) if any(one.to_base for one in layers) else ()
    groups = grouped((*called, *([BASE] if bases else [])), (*pairs, *bases))
    if not extent.tells_origin:
        groups = tuple((name,) for name in called)
    scored = _gradients(study, every, called, architecture, how)
    based = architecture.based >= KIN_BY_TENSORS
    kin = all(one.same for one in bases if one.one in groups[0])
    heads = bool(pairs) and all(one.body for one in pairs)
    lineage = None if start is None else lineage_of(every, start, called, private)
    vectors = _task_vectors(found)
    prospects = prospects_of(
        _body(found, architecture),
        based=based,
        kin=kin and (lineage is None or lineage.kind not in ("shifted", "held")),
        unlike_table=_unlike_table(extent, vectors, heads=heads),
    )
    judged_models = _models(found, every, architecture, groups)
    far = {one.name for one in judged_models if one.far > FAR}
    evidence = Evidence(
        models=judged_models,
        base=None if start is None else start.label,
        architecture=architecture,
        compared=extent,
        lineage=lineage,
        pairs=pairs,
        bases=bases,
        layers=layers,
        scopes=scopes_by_layer(found),
        copies=copies_of(found, [set(group) - far for group in groups]),
        task_vectors=vectors,
        prospects=prospects.each,
        traits=prospects.traits,
        forecast=prospects.error,
        gradients=scored,
        damaged_base=damaged_base,
        sameness=compare_networks([*every, *([] if start is None else [start])]),
        unmeasured=study.network is not None and scored is None,
    )
    return judged(evidence, facts=_facts(found, architecture))


def _alike(
    models: Sequence[Checkpoint], base: Checkpoint | None
) -> tuple[list[Checkpoint], Checkpoint | None]:
    """As a merge sees them: under the first one's names, the head of one that ties it too."""
    every = alike([*models, *([] if base is None else [base])])
    return list(every[: len(models)]), None if base is None else every[-1]


def _unlike_table(extent: Compared, vectors: TaskVectors | None, *, heads: bool) -> str:
    """Why merges of such models are not forecast; '' where they are."""
    if heads:
        return "models that differ in one layer alone"
    if vectors is not None and vectors.opposed:
        return "opposite task vectors"
    if extent.share < KIN_BY_TENSORS:
        return f"models of which only {percent(extent.share)} could be compared"
    return ""


def _body(found: Statistics, architecture: Architecture) -> Statistics:
    """What a forecast looks at: heads that the base lacks are not merged with it."""
    if not 1 > architecture.based >= KIN_BY_TENSORS:
        return found
    lacking = frozenset(architecture.lacking)
    return replace(found, tensors=tuple(o for o in found.tensors if o.name not in lacking))


def _models(
    found: Statistics,
    every: Sequence[Checkpoint],
    architecture: Architecture,
    groups: Sequence[Sequence[str]],
) -> tuple[ModelFinding, ...]:
    layers = trained(found)
    stands = standings(found)
    deltas = summed([one.deltas for one in layers]) if layers else ()
    gram = summed([one.gram for one in layers]) if layers else ()
    made = list[ModelFinding]()
    for k, name in enumerate(found.names):
        damaged = tuple(one.name for one in found.left if name in one.damaged)
        origin = next(n for n, group in enumerate(groups) if name in group)
        why = (
            *_odd(name, architecture, len(found.names)),
            *_why(damaged, groups, name, stands[k].far, stands[k].scale),
        )
        made.append(
            ModelFinding(
                name=name,
                source=every[k].label,
                outlier=bool(why),
                why=why,
                origin=origin + 1,
                far=stands[k].far,
                scale=stands[k].scale,
                moved=math.sqrt(deltas[k][k] / gram[k][k]) if gram and gram[k][k] else math.nan,
                dtype=architecture.dtypes[k],
                damaged=damaged,
            )
        )
    return tuple(made)


def _odd(name: str, architecture: Architecture, count: int) -> list[str]:
    """Of three models or more, the one that shares little with the others; a head is no matter."""
    for one in architecture.differences if architecture.shared < KIN_BY_TENSORS else ():
        fewer = one.models if 2 * len(one.models) < count else one.others
        if 2 * len(fewer) < count and name in fewer:
            return [f"has other tensors than the others ('{one.tensor}' {one.said})"]
    return []


def _why(
    damaged: Sequence[str], groups: Sequence[Sequence[str]], name: str, far: float, scale: float
) -> list[str]:
    """What makes a model an outlier, in words that follow its name."""
    said = list[str]()
    if damaged:
        more = f" and {len(damaged) - 1} more" if len(damaged) > 1 else ""
        said.append(f"holds NaN or infinity in '{damaged[0]}'{more}")
    most = groups[0]
    if len(most) > 1 and name not in most and len(groups[1]) < len(most):
        alone = BASE in most and len(most) == 2  # one model and the base are no majority of models
        said.append(
            "does not come from the base" if alone else "comes from another start than the others"
        )
    elif far > FAR:
        said.append(
            f"is {far:.1f} times as far from the mean of the others as they are from theirs "
            "(median layer)"
        )
    if scale >= SCALED or scale <= 1 / SCALED:
        said.append(f"has weights {scale:.3g} times as large as is usual among them (median layer)")
    return said


def _task_vectors(found: Statistics) -> TaskVectors | None:
    """Trained tensors as one vector, around the base if it has most of them: then those alone."""
    every = trained(found)
    if not every:
        return None
    rooted = [one for one in every if one.centre == "base"]
    based = 2 * sum(one.numel for one in rooted) >= sum(one.numel for one in every)
    layers = rooted if based else every
    deltas = summed([one.deltas if based else one.around_mean for one in layers])
    count = len(found.names)
    pairs = list(combinations(range(count), 2))
    angles = {(i, j): value for i, j in pairs if math.isfinite(value := cosine(deltas, i, j))}
    cosines = list(angles.values())
    least = min(angles, key=angles.__getitem__, default=None)
    met = [(one.signs, i, j, one.signs.both[i][j] * one.numel) for one in layers for i, j in pairs]
    voting = math.fsum(n for *_, n in met)
    agreed = math.fsum(signs.agree[i][j] * n for signs, i, j, n in met if n)
    squares = math.fsum(deltas[k][k] for k in range(count))
    whole = math.fsum(value for row in deltas for value in row)
    lengths = [math.sqrt(deltas[k][k]) for k in range(count)]
    return TaskVectors(
        centre="base" if based else "mean",
        cosine=math.fsum(cosines) / len(cosines) if cosines else math.nan,
        lowest=min(cosines, default=math.nan),
        one=found.names[least[0]] if least else "",
        other=found.names[least[1]] if least else "",
        agree=agreed / voting if voting else math.nan,
        expected=math.fsum(map(expected_agreement, cosines)) / len(cosines)
        if cosines
        else math.nan,
        kept=whole / count / squares if based and squares else math.nan,
        lengths=max(lengths) / min(lengths) if min(lengths) > 0 else math.inf,
    )


def _gradients(
    study: Diagnosis,
    every: Sequence[Checkpoint],
    names: Sequence[str],
    architecture: Architecture,
    how: How,
) -> Gradients | None:
    if study.network is None or study.data is None or not architecture.same:
        return None
    network, data = study.specifications(study.network, study.data)
    return gradients_of(every, names, network, data, memory=how.get("memory", "2GiB"))


def _facts(found: Statistics, architecture: Architecture) -> tuple[tuple[str, str], ...]:
    entries = sum(one.numel for one in found.among(PARAMETERS))
    return (
        ("models", ", ".join(found.names)),
        ("base", found.base or "none"),
        (
            "tensors",
            f"{architecture.tensors} shared, {len(found.among(PARAMETERS))} of them trained, "
            f"with {entries:,} entries",
        ),
        *((f"left out: {one.name}", one.reason) for one in found.left),
        *(("note", text) for text in found.notes),
    )
