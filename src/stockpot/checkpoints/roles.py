"""What kind of tensor this is, told by its name, shape and dtype.

Rules and methods speak of roles (`role: embedding`), and the engine treats two of them apart:
counters are copied, norm-stats are averaged whatever the method.
"""

import math
import re
from enum import StrEnum

import torch

from .entry import TensorEntry


class Role(StrEnum):
    """The part that a tensor plays; where rules overlap, the first one here that fits is taken."""

    TIED_ALIAS = "tied-alias"
    COUNTER = "counter"
    NORM_STAT = "norm-stat"
    SCALAR = "scalar"
    EMBEDDING = "embedding"
    VECTOR = "vector"
    EXPERT_STACK = "expert-stack"
    CONV = "conv"
    MATRIX = "matrix"


COUNTERS = re.compile(
    r"num_batches_tracked|position_ids|relative_position_index|masked_bias|\w+_mask"
)
NORM_STATS = re.compile(r"(running|moving)_(mean|var|variance)")
BIASES = re.compile(r"(.*_)?bias")
EMBEDDINGS = re.compile(
    r"(?!class_embed$|decoder_embed$)(.*_)?emb(ed|edding)?s?"  # word_embeddings, pos_embed, emb
    r"|embed_(tokens|positions|in)\w*|wte|wpe|shared"  # Llama, BART, GPT-NeoX, GPT-2, T5
    r"|.*_tokens?|relative_attention_bias|relative_position_bias_table|rel_pos_[hwdt]"
)
"""A parameter's own name, or its module's where the parameter is called weight. DETR's class_embed
and MAE's decoder_embed are linear layers."""
EXPERTS = re.compile(r"expert|(^|[._])moe([._]|$)")
KERNEL = 32
"""A 3-D weight whose name says nothing is a convolution up to this width, else a stack."""
FAR = -1e3
"""What an additive mask has at most where a position is not seen."""
PARAMETRISED = re.compile(
    r"(?P<stem>.*\.)?(parametrizations\.(?P<new>\w+)\.original1?|(?P<hooked>weight\w*)_(v|orig|bar))"
)
"""A weight under weight norm, spectral norm or a pruning mask: its role is that of the weight."""


def classify(
    name: str, shape: tuple[int, ...], dtype: torch.dtype, alias_of: str | None = None
) -> Role:
    """The role of a tensor.

    | role | rule |
    | --- | --- |
    | tied-alias | shares the bytes of another tensor of the checkpoint |
    | counter | integers and booleans; num_batches_tracked, position_ids and masks of any dtype; [1, 1, n, n] called bias, but for `role_of`, which looks into it |
    | norm-stat | running_mean, running_var |
    | scalar | one element |
    | embedding | 2 dimensions or more and called so (embed_tokens, wte, pos_embed, cls_token); [1, N, D] that is not a weight |
    | vector | one dimension; biases; not a weight and all dimensions but one are 1 |
    | expert-stack | [E, m, n] called expert or moe, or not a weight, or wider than a kernel |
    | conv | 3 dimensions and called conv or no wider than a kernel; 4 or more |
    | matrix | what remains: 2 dimensions; output heads too |
    """  # noqa: E501 - a row of a table is one line
    rank, wide = len(shape), sum(size != 1 for size in shape)
    if match := PARAMETRISED.fullmatch(name):
        name = f"{match['stem'] or ''}{match['new'] or match['hooked']}"
    module, _, leaf = name.rpartition(".")
    weight = leaf in ("weight", "kernel")
    own = module.rpartition(".")[2] if weight else leaf
    mask = BIASES.fullmatch(leaf) and _is_square(shape)  # GPT-2's causal mask is called attn.bias
    if alias_of is not None:
        return Role.TIED_ALIAS
    number = dtype.is_floating_point or dtype.is_complex
    if not number or mask or COUNTERS.fullmatch(leaf):
        return Role.COUNTER
    if NORM_STATS.fullmatch(leaf):
        return Role.NORM_STAT
    if math.prod(shape) == 1:
        return Role.SCALAR
    if rank >= 2 and EMBEDDINGS.fullmatch(own) and (rank < 4 or not weight):
        return Role.EMBEDDING
    if rank < 2 or BIASES.fullmatch(leaf) or (rank > 2 and wide < 2 and not weight):
        return Role.VECTOR
    if rank == 3 and shape[0] == 1 and not weight:
        return Role.EMBEDDING
    if rank == 3 and "conv" not in name:
        stacked = not weight or shape[2] > KERNEL or EXPERTS.search(name)
        return Role.EXPERT_STACK if stacked else Role.CONV
    return Role.CONV if rank > 2 else Role.MATRIX


def role_of(entry: TensorEntry) -> Role:
    """The role of a tensor; of a square bias its values tell, a few rows of them.

    A causal mask has ones and zeros, and a one where a position sees itself, or a zero there and
    large negative numbers elsewhere; a learnt bias between positions is a vector, to be merged.
    """
    shape, dtype = entry.stored_shape, entry.stored_dtype
    role = classify(entry.name, shape, dtype, entry.alias_of)
    leaf = entry.name.rpartition(".")[2]
    asked = role is Role.COUNTER and dtype.is_floating_point and BIASES.fullmatch(leaf)
    if asked and _is_square(shape) and not _is_causal(entry):
        return Role.VECTOR
    return role


def _is_square(shape: tuple[int, ...]) -> bool:
    return len(shape) == 4 and shape[:2] == (1, 1) and shape[2] == shape[3] > 1


def _is_causal(entry: TensorEntry) -> bool:
    size = entry.shape[-1]
    for row in {0, size // 2, size - 1}:
        raw = bytearray(size * entry.dtype.itemsize)
        entry.source.read_into(memoryview(raw), entry.offset + row * len(raw))
        values = torch.frombuffer(raw, dtype=entry.dtype).float()
        seen, shut = values == values[row], values == 0 if values[row] == 1 else values <= FAR
        additive = values[row] == 0 and (row > 0 or bool(shut.any()))
        if not bool((seen | shut).all()) or not (values[row] == 1 or additive):
            return False
    return True
