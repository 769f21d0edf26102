"""Adapters are refused by the names of their factors, and no network is taken for one."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

import stockpot as sp
from stockpot.checkpoints.kinds.adapters import refuse_adapter
from stockpot.checkpoints.read import read_checkpoint
from stockpot.errors import CheckpointError
from stockpot.methods import Average

Q = "base_model.model.model.layers.0.self_attn.q_proj"
UNET = "lora_unet_down_blocks_0_attentions_0_proj_in"
ADAPTERS = {
    "peft": ([f"{Q}.lora_A.weight", f"{Q}.lora_B.weight"], "a PEFT adapter", "merge_and_unload"),
    "peft, named": ([f"{Q}.lora_A.default.weight"], "a PEFT adapter", "merge_and_unload"),
    "embedding": (["base_model.model.wte.lora_embedding_A"], "a PEFT adapter", "merge_and_unload"),
    "dora": ([f"{Q}.lora_magnitude_vector"], "a PEFT adapter", "merge_and_unload"),
    "ia3": ([f"{Q}.ia3_l"], "a PEFT adapter", "merge_and_unload"),
    "not unloaded": (
        [f"{Q}.base_layer.weight", f"{Q}.lora_A.default.weight", f"{Q}.lora_B.default.weight"],
        "a network that a PEFT adapter still wraps",
        "merge_and_unload",
    ),
    "head": (
        ["base_model.model.score.modules_to_save.default.weight", "base_model.model.x.weight"],
        "modules_to_save",
        "merge_and_unload",
    ),
    "kohya": (
        [f"{UNET}.alpha", f"{UNET}.lora_down.weight", f"{UNET}.lora_up.weight"],
        "a LoRA adapter of kohya's or diffusers' kind",
        "fuse_lora",
    ),
    "diffusers": (["unet.mid.attn.to_q.lora.up.weight"], "a LoRA adapter", "fuse_lora"),
    "processor": (
        ["mid_block.attentions.0.processor.to_q_lora.up.weight"],
        "kohya's or diffusers' kind",
        "fuse_lora",
    ),
    "loha": ([f"{UNET}.hada_w1_a", f"{UNET}.hada_w2_b", f"{UNET}.alpha"], "a LoHa", "LyCORIS"),
    "lokr": ([f"{UNET}.lokr_w1", f"{UNET}.lokr_w2_a", f"{UNET}.alpha"], "a LoKr", "LyCORIS"),
}


@pytest.mark.parametrize("kind", list(ADAPTERS))
@pytest.mark.parametrize("form", ["safetensors", "torch", "memory"])
def test_an_adapter(tmp_path: Path, kind: str, form: str) -> None:
    names, what, remedy = ADAPTERS[kind]
    state = {name: torch.ones(2, 2) for name in names}
    path = tmp_path / "m.safetensors"
    if form == "safetensors":
        save_file(state, path)
    elif form == "torch":
        torch.save(state, path)
    with pytest.raises(CheckpointError) as caught:
        sp.merge([state, state], Average()) if form == "memory" else read_checkpoint(path)
    assert what in str(caught.value)
    assert remedy in str(caught.value)
    assert "'" in str(caught.value)


@pytest.mark.parametrize(
    "names",
    [
        ["alpha", "act.alpha", "blocks.0.alpha", "alphas_cumprod"],
        ["snake.alpha", "resblocks.0.activations.1.act.alpha"],
        ["layers.0.lora_rank", "att.w_lora_a", "explora_A.weight"],
        ["base_layer.weight", "encoder.base_layer.bias"],
        ["lokrates.weight", "shada_w1.weight", "up.weight", "down.weight"],
        ["model.layers.0.self_attn.q_a_proj.weight", "kv_a_proj_with_mqa.weight"],
        ["processor.weight", "encoder.layers.0.to_q.weight"],
        ["norm.original_module_scale", "modules_to_save_later"],
    ],
)
def test_a_network_is_no_adapter(names: list[str]) -> None:
    refuse_adapter(names, "m.pt")
