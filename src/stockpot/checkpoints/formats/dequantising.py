"""How weights that were quantised become weights again: what there is for each format."""

from dataclasses import dataclass

import torch

ORIGINAL = "Best take the checkpoint that it was quantised from"
_LOADED = "load it in transformers with quantization_config={}(dequantize=True), and save that"


@dataclass(frozen=True, slots=True)
class Format:
    """One way of packing weights into codes.

    Attributes:
        called: its name.
        way: how to get weights back: a sentence without its full stop.
        methods: what `quant_method` in a configuration says.
        leaves: last parts of tensors' names that tell of it, if any do.
        beside: a tensor of the same module without which those names tell nothing: an ordinary
            network may have them too.
    """

    called: str
    way: str = ORIGINAL
    methods: tuple[str, ...] = ()
    leaves: tuple[str, ...] = ()
    beside: str = ""


GPTQ = (
    f"{ORIGINAL}: transformers cannot undo it. GPTQModel's layers give theirs by "
    "dequantize_weight(), transposed"
)
AWQ = (
    f"{ORIGINAL}: transformers cannot undo it. AutoAWQ's awq.utils.packing_utils.dequantize_gemm "
    "gives the weight of a layer, transposed"
)
BITSANDBYTES = "load it in transformers with bitsandbytes, call model.dequantize(), and save that"
FP8 = _LOADED.format("FineGrainedFP8Config")
COMPRESSED = f"{_LOADED.format('CompressedTensorsConfig')} (run_compressed=False in transformers 4)"
MXFP4 = _LOADED.format("Mxfp4Config")
HQQ = f"{ORIGINAL}: transformers cannot undo it. Each HQQLinear of hqq gives its by dequantize()"
SCALED = "multiply each weight, as float32, by its scale_weight, and save that without the scales"
MLX = "run mlx_lm.convert --hf-path IN --mlx-path OUT --dequantize"

FORMATS = (
    Format("GPTQ", GPTQ, ("gptq", "gptqmodel")),
    Format("AWQ", AWQ, ("awq",)),
    Format(
        "bitsandbytes",
        BITSANDBYTES,
        ("bitsandbytes", "bitsandbytes_4bit", "bitsandbytes_8bit"),
        ("SCB", "absmax", "quant_map", "nested_absmax", "nested_quant_map"),
    ),
    Format(
        "compressed-tensors",
        COMPRESSED,
        ("compressed-tensors",),
        ("weight_packed",),
    ),
    Format("HQQ", HQQ, ("hqq",), ("W_q",)),
    Format("MXFP4", MXFP4, ("mxfp4",)),
    Format("fp8 in blocks", FP8, ("fp8", "mxfp8")),
    Format("ComfyUI's scaled fp8", SCALED, (), ("scaled_fp8", "scale_weight")),
    Format("ExLlama", ORIGINAL, ("exl2", "exl3"), ("q_weight",), "q_scale"),
    Format("AQLM", ORIGINAL, ("aqlm",), ("codes",), "codebooks"),
    Format("quanto", ORIGINAL, ("quanto",), ("_data",), "_scale"),
    Format("HIGGS", "load it in transformers, call model.dequantize(), and save that", ("higgs",)),
)
"""Checked in transformers 5.23: model.dequantize() is there for bitsandbytes and HIGGS alone."""
BY_LEAF = {leaf: one for one in FORMATS for leaf in one.leaves}
PACKED = Format("GPTQ or AWQ", f"{GPTQ}. Of AWQ, {AWQ.partition('it. ')[2]}")
OTHER = Format("codes")


def way_of_scale(scale: str, dtype: torch.dtype) -> str:
    """How to get weights back from a tensor of codes with a scale of this name beside it."""
    if scale.endswith("_scale_inv"):
        return FP8
    if scale.endswith(".SCB"):
        return BITSANDBYTES
    return MLX if scale.endswith(".scales") and dtype == torch.uint32 else ORIGINAL


def by_method(method: object) -> Format:
    """The format that a configuration's `quant_method` names, or a word on codes in general."""
    return next((one for one in FORMATS if method in one.methods), OTHER)
