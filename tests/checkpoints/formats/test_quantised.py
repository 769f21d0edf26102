import inspect
import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from stockpot.checkpoints.read import read_checkpoint
from stockpot.errors import CheckpointError

CODES = torch.zeros(4, 4, dtype=torch.int32)
BYTES = torch.zeros(4, 4, dtype=torch.uint8)
FP8 = torch.ones(4, 4).to(torch.float8_e4m3fn)
SCALE = torch.ones(1)

REFUSED: dict[str, tuple[dict[str, Tensor], str, str]] = {
    "gptq": ({"q.qweight": CODES, "q.scales": SCALE, "q.g_idx": CODES[0]}, "q.qweight", "GPTQ"),
    "awq": ({"q.qzeros": CODES}, "q.qzeros", "AWQ"),
    "bnb 8 bit": ({"q.weight": BYTES, "q.SCB": SCALE}, "q.", "SCB"),
    "bnb 4 bit": ({"q.weight.absmax": SCALE, "q.a": SCALE}, "q.weight.absmax", "bitsandbytes"),
    "bnb state": (
        {"q.weight.quant_state.bitsandbytes__nf4": BYTES},
        "q.weight.quant_state.bitsandbytes__nf4",
        "bitsandbytes",
    ),
    "compressed": ({"q.weight_packed": CODES}, "q.weight_packed", "compressed-tensors"),
    "hqq": ({"q.W_q": BYTES}, "q.W_q", "HQQ"),
    "mxfp4": ({"e.up_blocks": BYTES, "e.up_scales": BYTES[0]}, "e.up_blocks", "MXFP4"),
    "fp8": ({"q.weight": FP8, "q.weight_scale": SCALE}, "q.weight", "'q.weight_scale'"),
    "fp8 blocks": ({"q.weight": FP8, "q.weight_scale_inv": SCALE}, "q.weight", "scale_inv"),
    "fp8 fnuz": (
        {"q.weight": FP8.float().to(torch.float8_e5m2fnuz), "q.weight.scale": SCALE},
        "q.weight",
        "'q.weight.scale'",
    ),
    "fp8 ComfyUI": ({"q.scale_weight": SCALE, "q.weight": FP8}, "q.", "fp8"),
    "int8 scale": ({"q.weight": CODES.to(torch.int8), "q.scale": SCALE}, "q.weight", "'q.scale'"),
    "exl2": ({"q.q_weight": CODES, "q.q_scale": CODES[0]}, "q.q_weight", "ExLlama"),
    "aqlm": ({"q.codes": CODES.to(torch.int8), "q.codebooks": SCALE}, "q.codes", "AQLM"),
    "quanto": ({"q.weight._data": CODES.to(torch.int8), "q.weight._scale": SCALE}, "q.", "quanto"),
    "int8 alone": ({"q.weight": CODES.to(torch.int8)}, "q.weight", "int8 weights"),
}


@pytest.mark.parametrize("case", REFUSED)
@pytest.mark.parametrize("zipped", [True, False], ids=["torch", "safetensors"])
def test_codes_are_refused_by_name(tmp_path: Path, case: str, zipped: bool) -> None:
    state, name, how = REFUSED[case]
    state = {"fine.weight": torch.ones(2, 2), **state}
    path = tmp_path / "m"
    if zipped:
        torch.save(state, path)
    else:
        save_file({name: tensor.clone() for name, tensor in state.items()}, path)
    with pytest.raises(CheckpointError) as caught:
        read_checkpoint(path)
    text = str(caught.value)
    assert f"'{name}" in text
    assert how in text
    assert "quantised" in text
    assert "Dequantise it first" in text


@pytest.mark.parametrize(
    "state",
    [
        {"q.weight": FP8, "k.weight": FP8.float().to(torch.float8_e5m2)},
        {"position_ids": torch.arange(5)[None], "n.scale": SCALE},
        {"bn.num_batches_tracked": torch.tensor(3), "bn.weight": SCALE},
        {"mask": torch.ones(3, 3, dtype=torch.bool), "mask_scale": SCALE},
        {
            "steps": torch.tensor(3),
            "steps_scale": SCALE,
            "x": torch.arange(3),
            "x_scale": SCALE.clone(),
        },
        {"norm.scale": SCALE, "norm.weight": torch.ones(3)},
        {"up_blocks.0.weight": torch.ones(2, 2), "scales": SCALE},
        {"logit_scale": SCALE, "logit": torch.ones(2)},
        {"vq.codebooks": torch.ones(2, 4), "attn.q_weight": torch.ones(2, 2), "x._data": SCALE},
    ],
    ids=["fp8", "positions", "counter", "mask", "steps", "norm", "blocks", "logit", "codebooks"],
)
def test_what_only_looks_like_it_is_read(tmp_path: Path, state: dict[str, Tensor]) -> None:
    save_file(state, tmp_path / "m")
    assert set(read_checkpoint(tmp_path / "m").entries) == set(state)


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"quantization_config": {"quant_method": "gptq", "bits": 4}}, "gptq"),
        ({"text_config": {"quantization_config": {"quant_method": "fp8"}}}, "fp8"),
        ({"compression_config": {"format": "pack-quantized"}}, "compression_config"),
        ({"quantization_config": "yes"}, "'yes'"),
    ],
)
def test_a_configuration_that_tells_of_codes(tmp_path: Path, config: object, words: str) -> None:
    save_file({"w": torch.ones(2)}, tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(CheckpointError) as caught:
        read_checkpoint(tmp_path)
    text = str(caught.value)
    assert words in text
    assert "config.json" in text
    assert "Dequantise it first" in text


@pytest.mark.parametrize(
    "config", [{}, {"quantization_config": None}, {"text_config": {"a": 1}, "bits": 4}]
)
def test_other_configurations(tmp_path: Path, config: object) -> None:
    save_file({"w": torch.ones(2)}, tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text(json.dumps(config))
    assert list(read_checkpoint(tmp_path).entries) == ["w"]


def test_a_broken_configuration_is_named(tmp_path: Path) -> None:
    save_file({"w": torch.ones(2)}, tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text("{oops")
    with pytest.raises(CheckpointError, match=r"config\.json is not valid JSON"):
        read_checkpoint(tmp_path)


def test_the_configuration_beside_a_single_file_of_the_hub_counts(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"quantization_config": {"bits": 4}}')
    for name in ("model.safetensors", "other.safetensors"):
        save_file({"q.weight": torch.ones(4, 4)}, tmp_path / name)
    with pytest.raises(CheckpointError, match="says that the weights are quantised"):
        read_checkpoint(tmp_path / "model.safetensors")
    assert "q.weight" in read_checkpoint(tmp_path / "other.safetensors").entries


WAYS = {
    "gptq": "GPTQModel's layers give theirs by dequantize_weight()",
    "awq": "awq.utils.packing_utils.dequantize_gemm",
    "bnb 8 bit": "call model.dequantize(), and save that",
    "bnb 4 bit": "call model.dequantize(), and save that",
    "compressed": "quantization_config=CompressedTensorsConfig(dequantize=True)",
    "hqq": "Each HQQLinear of hqq gives its by dequantize()",
    "mxfp4": "quantization_config=Mxfp4Config(dequantize=True)",
    "fp8 blocks": "quantization_config=FineGrainedFP8Config(dequantize=True)",
    "fp8 ComfyUI": "Multiply each weight, as float32, by its scale_weight",
    "fp8": "Best take the checkpoint that it was quantised from.",
    "exl2": "Best take the checkpoint that it was quantised from.",
    "aqlm": "Best take the checkpoint that it was quantised from.",
    "int8 alone": "Best take the checkpoint that it was quantised from.",
}


@pytest.mark.parametrize("case", WAYS)
def test_the_way_back_is_one_that_exists_for_the_format(tmp_path: Path, case: str) -> None:
    state = REFUSED[case][0]
    save_file({name: tensor.clone() for name, tensor in state.items()}, tmp_path / "m")
    with pytest.raises(CheckpointError) as caught:
        read_checkpoint(tmp_path / "m")
    assert WAYS[case] in str(caught.value)
    assert ("model.dequantize()" in str(caught.value)) == case.startswith("bnb")


@pytest.mark.parametrize(
    ("method", "case"),
    [
        ("gptq", "gptq"),
        ("awq", "awq"),
        ("bitsandbytes", "bnb 4 bit"),
        ("compressed-tensors", "compressed"),
        ("hqq", "hqq"),
        ("mxfp4", "mxfp4"),
        ("fp8", "fp8 blocks"),
        ("exl2", "exl2"),
        ("modelopt", "fp8"),
        (["gptq"], "fp8"),
    ],
)
def test_the_way_back_by_the_configuration(tmp_path: Path, method: object, case: str) -> None:
    save_file({"w": torch.ones(2)}, tmp_path / "model.safetensors")
    config = {"quantization_config": {"quant_method": method}}
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(CheckpointError) as caught:
        read_checkpoint(tmp_path)
    assert WAYS[case].rstrip(".") in str(caught.value)
    assert "If they are weights already, delete quantization_config." in str(caught.value)


def test_what_transformers_is_said_to_have_is_there() -> None:
    config = pytest.importorskip("transformers.utils.quantization_config")
    bits = pytest.importorskip("transformers.quantizers.quantizer_bnb_4bit")
    base = pytest.importorskip("transformers.quantizers.base")
    for name in ("CompressedTensorsConfig", "Mxfp4Config", "FineGrainedFP8Config"):
        assert "dequantize" in inspect.signature(getattr(config, name)).parameters
    assert bits.Bnb4BitHfQuantizer._dequantize is not base.HfQuantizer._dequantize
    gptq = pytest.importorskip("transformers.quantizers.quantizer_gptq")
    assert gptq.GptqHfQuantizer._dequantize is base.HfQuantizer._dequantize
