"""What a few batches tell: losses of the models and of their mean, and the angles of gradients.

Shapes: K models, P parameters, B samples.
"""

import json
import math
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ....checkpoints.entry import Checkpoint, from_state_dict
from ....data import Dataset, load, split
from ....data import Spec as DataSpec
from ....engine.merge import merge_opened
from ....engine.options import Options
from ....errors import MergeError
from ....evaluation.choices.soups import mend
from ....evaluation.contests.models import opened, reestimation
from ....networks import NetworkSpec, put_weights
from ....recipes.reading.recipe import parse_recipe
from ....recipes.reading.sizes import format_size, parse_size
from .gradients import Gradients, Scored

BATCHES, SAMPLES = 4, 64
"""Batches of the selection split, and samples of each."""


def gradients_of(
    models: Sequence[Checkpoint],
    names: Sequence[str],
    network: NetworkSpec,
    data: DataSpec,
    *,
    memory: int | str = "2GiB",
    seed: int = 0,
) -> Gradients:
    """Losses and gradients of all models and of their mean, on 256 samples of the selection split.

        L(θ) = 1/B Σ_b -log p(y_b | x_b; θ)        barrier = L(θ̄) - 1/K Σ_k L(θ_k)

    Networks are in evaluation mode. Batch norm of the mean is estimated again on training inputs,
    as in `stockpot compare`; the test split is not looked at.

    Args:
        models: opened, with the same tensors.
        names: what they are called.
        network: what they are, such as "cnn", "timm:NAME" or "hf:DIRECTORY".
        data: a name, or a mapping with the reader's options.
        memory: budget; K + 1 gradients are held.
        seed: of the split.

    Raises:
        MergeError: the gradients do not fit the budget.
        CheckpointError: a model is not the network's.
        StockpotError: no such network or data.
    """
    splits = split(load(data), seed=seed)
    build = partial(opened, network, splits.train)
    size = sum(one.numel() for one in _weights(build()).values())
    if (len(models) + 2) * 4 * size > parse_size(memory):
        raise MergeError(
            f"gradients of {len(models)} models take {format_size((len(models) + 2) * 4 * size)}; "
            f"memory is {format_size(parse_size(memory))}: raise it, or leave network and data out."
        )
    chosen = splits.selection.take(_drawn(len(splits.selection), seed))
    scored, rows = list[Scored](), list[Tensor]()
    middle_P = torch.zeros(size, dtype=torch.float64)
    for name, one in zip(names, models, strict=True):
        mine = put_weights(build(), one.entries, Path(one.label))
        score, gradient_P = _score(mine, chosen, name)
        scored.append(score)
        rows.append(gradient_P)
        middle_P += _flat(_weights(mine)).double() / len(models)
    average = from_state_dict(_average(models, memory), "their mean")
    mean = put_weights(build(), average.entries, Path(average.label))
    if mended := reestimation(mean):
        mend(mean, splits.train, mended, seed=seed)
    middle, slope_P = _score(mean, chosen, "their mean")
    slopes = [
        _dot(
            slope_P, _flat(_weights(put_weights(build(), one.entries, Path(one.label)))) - middle_P
        )
        for one in models
    ]
    return Gradients(
        network=_written(network),
        data=_written(data),
        samples=len(chosen),
        split=f"selection split of {splits.selection.name}",
        models=tuple(scored),
        mean=middle,
        cosines=tuple(tuple(_cosine(a, b) for b in rows) for a in rows),
        barrier=middle.loss - math.fsum(one.loss for one in scored) / len(scored),
        slopes=tuple(slopes),
    )


def _written(spec: NetworkSpec | DataSpec) -> str:
    """A mapping as YAML has it too."""
    return spec if isinstance(spec, str) else json.dumps(spec)


def _drawn(count: int, seed: int) -> Tensor:
    drawn = torch.Generator().manual_seed(seed)
    return torch.randperm(count, generator=drawn)[: BATCHES * SAMPLES].sort().values


def _average(models: Sequence[Checkpoint], memory: int | str) -> dict[str, Tensor]:
    recipe = parse_recipe({"method": "average", "models": [one.label for one in models]})
    return merge_opened(recipe, models, None, Options(memory=memory, device="cpu"))


def _score(network: nn.Module, data: Dataset, name: str) -> tuple[Scored, Tensor]:
    """Summed over batches, so that few activations are held; no gradient reaches buffers."""
    weights = _weights(network)
    network.zero_grad(set_to_none=True)
    loss, right = 0.0, 0
    with torch.enable_grad():
        for one in weights.values():
            one.requires_grad_(True)
        for start in range(0, len(data), SAMPLES):
            part = slice(start, start + SAMPLES)
            logits_BL = cast(Tensor, network(data.batch(part))).float()
            labels = data.labels[part]
            of_batch = _loss(logits_BL, labels)
            cast(Any, of_batch / len(data)).backward()
            loss += float(of_batch.detach()) / len(data)
            right += _right(logits_BL.detach(), labels)
    gradient_P = torch.cat(
        [(torch.zeros_like(w) if w.grad is None else w.grad).flatten() for w in weights.values()]
    )
    network.zero_grad(set_to_none=True)
    norm = math.sqrt(_dot(gradient_P, gradient_P))
    score = Scored(name=name, loss=loss, accuracy=right / len(data), gradient=norm)
    return score, gradient_P


def _loss(logits_BL: Tensor, labels: Tensor) -> Tensor:
    """Summed over samples."""
    if labels.ndim == 2:
        each = F.binary_cross_entropy_with_logits(logits_BL, labels.float(), reduction="none")
        return each.mean(1).sum()
    return F.cross_entropy(logits_BL, labels, reduction="sum")


def _right(logits_BL: Tensor, labels: Tensor) -> int:
    """Samples; where one may have several classes, those of which every class is right."""
    if labels.ndim == 2:
        return int(((logits_BL > 0) == labels).all(1).sum())
    return int((logits_BL.argmax(1) == labels).sum())


def _weights(network: nn.Module) -> dict[str, Tensor]:
    return dict(cast(Any, network.named_parameters()))


def _flat(weights: dict[str, Tensor]) -> Tensor:
    return torch.cat([one.detach().flatten() for one in weights.values()])


def _dot(one_P: Tensor, other_P: Tensor) -> float:
    return float(one_P.double() @ other_P.double())


def _cosine(one_P: Tensor, other_P: Tensor) -> float:
    scale = math.sqrt(_dot(one_P, one_P) * _dot(other_P, other_P))
    return max(-1.0, min(1.0, _dot(one_P, other_P) / scale)) if scale > 0 else math.nan
