"""CLIP's image classifiers: a vision tower, and one stored text embedding for each class.

Beside the tower's weights, `heads/NAME.safetensors` holds two tensors under CLIP's own names:
`text_embeds` [L, D], of any length, and `logit_scale` [], the natural logarithm of the scale.

Shapes: N samples, L classes, D dimensions shared by images and text.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ...errors import CheckpointError, FieldError
from ...libraries import optional
from ...values.fields import nearest
from ...views.models import open_model
from .from_transformers import LOCAL, quiet, refusals, require_directory, take_images
from .names import keep_file_names
from .task import Task, require_logits

TEXT_TOWER = ("text_model.", "text_projection.", "logit_scale")
"""What a whole CLIP has beyond the vision tower; the stored head stands in for it."""


def open_clip(path: str, task: Task, own: Mapping[str, object]) -> nn.Module:
    """logits = exp(logit_scale) · u · Vᵀ, with u and the rows of V normalised to length 1.

    u is the tower's image embedding and the features of the network; its head is a linear layer
    without bias whose weight is exp(logit_scale) · V. The head is neither trained nor part of the
    state dict, which therefore has the names of a tower's checkpoint: heads of text are never
    merged.

    Args:
        path: a directory of transformers with a CLIP or its vision tower, and heads/.
        task: what it is opened for.
        own: `head`: the NAME of one of heads/; needed where there are several.

    Raises:
        ExtraError: without transformers.
        FieldError: for another key, or a head that is not there.
        CheckpointError: where the directory or the head does not hold what it should.
        StockpotError: where the network cannot take such images.
    """
    label = f"clip:{path}"
    transformers = optional("transformers", "hf")
    require_directory(path)
    head = _head(_head_file(Path(path), own, label), task.num_classes)
    with quiet(transformers), refusals(label):
        network, info = transformers.CLIPVisionModelWithProjection.from_pretrained(
            path,
            dtype=torch.float32,
            ignore_mismatched_sizes=True,  # they are listed, and judged here
            output_loading_info=True,
            **LOCAL,
        )
    wrong = {*info["missing_keys"], *(one[0] for one in info["mismatched_keys"])}
    wrong |= {name for name in info["unexpected_keys"] if not name.startswith(TEXT_TOWER)}
    if wrong:
        raise CheckpointError(
            f"{label} is no CLIP vision tower: missing, of another shape or not in the network: "
            f"{', '.join(sorted(wrong)[:8])}."
        )
    if head.in_features != network.config.projection_dim:
        raise CheckpointError(
            f"{label}: the head's text embeddings have {head.in_features} dimensions; the tower's "
            f"images have {network.config.projection_dim}."
        )
    network = network.eval()
    keep_file_names(network)
    network.head = head.eval()
    network.register_forward_pre_hook(take_images, with_kwargs=True)
    network.register_forward_hook(_give_logits)
    require_logits(network, task.image(), task, label)
    return network


def _head_file(directory: Path, own: Mapping[str, object], label: str) -> Path:
    heads = {file.stem: file for file in sorted((directory / "heads").glob("*.safetensors"))}
    if other := [key for key in own if key != "head"]:
        raise FieldError(f"{label}: unknown key '{other[0][:80]}'{nearest(other[0], ['head'])}")
    there = ", ".join(heads) or "none; see the documentation of clip: for what to store there"
    if "head" not in own and len(heads) != 1:
        raise FieldError(f"{label}: say which head; in {directory / 'heads'} there are {there}.")
    name = own.get("head", next(iter(heads), None))
    if not isinstance(name, str) or name not in heads:
        raise FieldError(f"{label} has no head '{name!s:.80}'; there are {there}.")
    return heads[name]


def _head(file: Path, num_classes: int) -> nn.Linear:
    entries = open_model(file).entries
    if sorted(entries) != ["logit_scale", "text_embeds"]:
        raise CheckpointError(
            f"{file} must hold text_embeds [L, D] and logit_scale []; it holds {sorted(entries)}."
        )
    text_LD, scale = (entries[name].load().float() for name in ("text_embeds", "logit_scale"))
    if text_LD.ndim != 2 or len(text_LD) != num_classes or scale.ndim:
        raise CheckpointError(
            f"{file}: text_embeds must be ({num_classes}, D), one row a class, and logit_scale (); "
            f"got {tuple(text_LD.shape)} and {tuple(scale.shape)}."
        )
    head = nn.Linear(text_LD.shape[1], num_classes, bias=False)
    del head.weight  # a parameter: it would be trained, saved and merged
    head.register_buffer("weight", scale.exp() * F.normalize(text_LD, dim=1), persistent=False)
    return head


def _give_logits(network: Any, _inputs: tuple[Any, ...], output: Any) -> Tensor:
    return network.head(F.normalize(output.image_embeds, dim=-1))
