"""Adapters are refused by their names: factors of a change are no weights to be averaged."""

import re
from collections.abc import Iterable

from ...errors import CheckpointError
from ..formats.untrusted import shown

_UNLOAD = "merge it into its base model with peft's merge_and_unload(), and save and name that"
_FUSE = (
    "apply it to its base model (diffusers: load_lora_weights, fuse_lora and save_pretrained; "
    "kohya: networks/merge_lora.py), and name what that saves"
)
_LYCORIS = "merge it into its base model with LyCORIS' tools/merge.py, and name what that saves"

PEFT_FACTORS = re.compile(
    r"(^|\.)lora_(A|B|E|embedding_A|embedding_B|magnitude_vector)(\.|$)|(^|\.)ia3_l(\.|$)"
)
KINDS = (
    (PEFT_FACTORS, "a PEFT adapter", _UNLOAD),
    (re.compile(r"(^|[._])hada_([wt][12])(_[ab])?(\.|$)"), "a LoHa adapter", _LYCORIS),
    (re.compile(r"(^|[._])lokr_([wt][12])(_[ab])?(\.|$)"), "a LoKr adapter", _LYCORIS),
    (
        re.compile(r"(^|\.)lora_(up|mid|down)\.weight$|(^|[._])lora[._](up|down)\.weight$"),
        "a LoRA adapter of kohya's or diffusers' kind",
        _FUSE,
    ),
    (
        re.compile(r"(^|\.)modules_to_save\.[^.]+\.|(^|\.)original_module\.weight$"),
        "a PEFT model that was saved with its wrappers (modules_to_save)",
        _UNLOAD,
    ),
)
"""Names of factors, what has them, and what to do."""
_MARKS = ("lora", "ia3_l", "hada_", "lokr_", "modules_to_save", "original_module")
"""One of these is in each such name: looked for in all names at once."""
UNLOADED = re.compile(r"(^|\.)base_layer\.(weight|bias)$")


def refuse_adapter(names: Iterable[str], label: str) -> None:
    """Raise if the names are those of an adapter, or of a network that an adapter still wraps.

    Raises:
        CheckpointError: naming the kind and a tensor that tells of it, and what to do.
    """
    names = list(names)
    every = "\n".join(names)
    if not any(mark in every for mark in _MARKS):
        return
    for pattern, kind, remedy in KINDS:
        told = next((name for name in names if pattern.search(name)), None)
        if told is None:
            continue
        if pattern is PEFT_FACTORS and any(UNLOADED.search(name) for name in names):
            kind = "a network that a PEFT adapter still wraps"
        raise CheckpointError(
            f"{label} holds {kind} ({shown(told)}), whose factors must not be averaged one by one: "
            f"{remedy}."
        )
