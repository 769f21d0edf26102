import pytest
import torch

from stockpot import merge
from stockpot.checkpoints.entry import from_state_dict
from stockpot.checkpoints.roles import Role, classify, role_of
from stockpot.methods import Average, TaskArithmetic

FLOAT = torch.float32
CASES: list[tuple[str, tuple[int, ...], str]] = [
    # Llama and other decoders
    ("model.embed_tokens.weight", (32000, 64), "embedding"),
    ("model.layers.3.self_attn.q_proj.weight", (64, 64), "matrix"),
    ("model.layers.3.mlp.down_proj.weight", (64, 256), "matrix"),
    ("model.norm.weight", (64,), "vector"),
    ("lm_head.weight", (32000, 64), "matrix"),
    ("gpt_neox.embed_in.weight", (50432, 64), "embedding"),
    ("embed_out.weight", (50432, 64), "matrix"),
    ("transformer.wte.weight", (50257, 64), "embedding"),
    ("transformer.wpe.weight", (1024, 64), "embedding"),
    ("transformer.h.0.attn.bias", (1, 1, 1024, 1024), "counter"),
    ("transformer.h.0.attn.c_attn.bias", (192,), "vector"),
    ("transformer.h.0.attn.masked_bias", (), "counter"),
    ("encoder.stages.0.layers.0.grn.bias", (1, 1, 1, 320), "vector"),
    ("synthesis.b4.to_rgb.bias", (1, 3, 1, 1), "vector"),
    ("shared.weight", (32128, 64), "embedding"),
    (
        "encoder.block.0.layer.0.SelfAttention.relative_attention_bias.weight",
        (32, 8),
        "embedding",
    ),
    # experts: stacked, and one by one
    ("model.layers.0.mlp.experts.gate_up_proj", (8, 64, 256), "expert-stack"),
    ("model.layers.0.mlp.experts.gate_up_proj_bias", (8, 256), "vector"),
    ("model.layers.0.block_sparse_moe.input_linear.weight", (8, 16, 16), "expert-stack"),
    ("model.layers.0.mlp.experts.0.w1.weight", (64, 64), "matrix"),
    # BERT
    ("bert.embeddings.word_embeddings.weight", (30522, 384), "embedding"),
    ("bert.embeddings.position_embeddings.weight", (512, 384), "embedding"),
    ("bert.embeddings.LayerNorm.weight", (384,), "vector"),
    ("electra.embeddings_project.weight", (256, 128), "matrix"),
    # vision
    ("conv1.weight", (64, 3, 7, 7), "conv"),
    ("layer1.0.conv1.weight", (64, 64, 1, 1), "conv"),
    ("lin0.model.1.weight", (1, 64, 1, 1), "conv"),
    ("bn1.running_mean", (64,), "norm-stat"),
    ("bn1.running_var", (64,), "norm-stat"),
    ("patch_embed.proj.weight", (768, 3, 16, 16), "conv"),
    ("vision_model.embeddings.patch_embedding.weight", (768, 3, 32, 32), "conv"),
    ("pos_embed", (1, 197, 768), "embedding"),
    ("image_encoder.pos_embed", (1, 64, 64, 768), "embedding"),
    ("cls_token", (1, 1, 768), "embedding"),
    ("vision_model.embeddings.class_embedding", (768,), "vector"),
    ("resampler.latents", (1, 64, 768), "embedding"),
    ("layers.0.attn.relative_position_bias_table", (169, 3), "embedding"),
    ("layers.0.attn_mask", (64, 49, 49), "counter"),
    ("blocks.0.gamma", (768, 1, 1), "vector"),
    ("logit_scale", (), "scalar"),
    ("head.weight", (1, 1), "scalar"),
    ("class_embed.weight", (92, 256), "matrix"),
    ("query_embed.weight", (100, 256), "embedding"),
    # audio, state spaces, diffusion
    ("mixer.conv1d.weight", (64, 1, 4), "conv"),
    ("encoder.pos_conv_embed.conv.weight_v", (768, 48, 128), "conv"),
    ("encoder.pos_conv_embed.conv.weight_g", (1, 1, 128), "vector"),
    ("encoder.pos_conv_embed.conv.parametrizations.weight.original1", (768, 48, 128), "conv"),
    ("vocoder.ups.0.weight_v", (64, 64, 3), "conv"),
    ("parametrizations.weight.original", (64, 32), "matrix"),
    ("critic.fc.weight_orig", (64, 32), "matrix"),
    ("critic.fc.weight_u", (64,), "vector"),
    ("critic.fc.weight_mask", (64, 32), "counter"),
    ("features.0.weight", (64, 64, 3), "conv"),
    ("time_embed.0.weight", (1280, 320), "matrix"),
    ("time_embedding.linear_1.weight", (1280, 320), "matrix"),
    ("removed.weight", (4, 64, 64), "expert-stack"),
    # shapes at the edge
    ("fc.weight", (1, 64), "matrix"),
    ("fc.weight", (0, 64), "matrix"),
    ("empty", (0,), "vector"),
    ("w", (3, 3, 3, 3, 3), "conv"),
]


@pytest.mark.parametrize(("name", "shape", "role"), CASES)
def test_role_of_a_float(name: str, shape: tuple[int, ...], role: str) -> None:
    assert classify(name, shape, FLOAT) == role
    assert classify(name, shape, torch.float8_e4m3fn) == role


@pytest.mark.parametrize("dtype", [torch.int64, torch.uint8, torch.bool])
@pytest.mark.parametrize("name", ["embeddings.position_ids", "layer.weight", "bn.running_mean"])
def test_integers_are_counters(name: str, dtype: torch.dtype) -> None:
    assert classify(name, (1, 512), dtype) is Role.COUNTER


def test_a_counter_kept_as_a_float_is_one() -> None:
    assert classify("bn1.num_batches_tracked", (), FLOAT) is Role.COUNTER


def role_of_bias(values: torch.Tensor) -> Role:
    return role_of(from_state_dict({"attn.bias": values}, "m").entries["attn.bias"])


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_a_square_bias_is_a_mask_by_its_values(dtype: torch.dtype) -> None:
    """GPT-2's is a triangle, GPT-Neo's a band; a learnt one is merged, also where it began at 0."""
    ones = torch.ones(1, 1, 9, 9, dtype=dtype)
    assert role_of_bias(ones.tril()) is Role.COUNTER
    assert role_of_bias(ones.tril() - ones.tril(-3)) is Role.COUNTER
    for far in (-torch.inf, -1e4):
        assert role_of_bias((ones * far).triu(1).nan_to_num(0.0, neginf=far)) is Role.COUNTER
    assert role_of_bias(ones.tril() * 0.5) is Role.VECTOR
    assert role_of_bias(ones.triu(1) * -0.5) is Role.VECTOR
    assert role_of_bias(ones * 0) is Role.VECTOR
    assert role_of_bias(ones.tril().bool()) is Role.COUNTER


def test_four_dimensional_biases_are_merged_and_masks_copied() -> None:
    mask = torch.ones(1, 1, 4, 4).tril()
    models = [
        {
            "h.0.attn.bias": mask,
            "grn.bias": torch.full((1, 1, 1, 5), float(i)),
            "to_rgb.bias": torch.full((1, 3, 1, 1), float(i)),
        }
        for i in range(3)
    ]
    found = merge(models[1:], TaskArithmetic(scale=2.0), base=models[0])
    assert torch.equal(found["h.0.attn.bias"], mask)
    assert found["grn.bias"].unique().tolist() == [6.0]
    assert found["to_rgb.bias"].unique().tolist() == [6.0]


def test_complex_numbers_have_the_role_of_their_name() -> None:
    assert classify("spectral.weight", (8, 8), torch.complex64) is Role.MATRIX


def test_integers_that_one_model_spoilt_come_from_another() -> None:
    """A merge in half precision rounds position_ids; whoever kept the integers gives them."""
    ids = torch.arange(77)[None]
    models = [
        {"w": torch.zeros(2), "embeddings.position_ids": spoilt}
        for spoilt in (ids.half() * 0.999, ids)
    ]
    assert torch.equal(merge(models, Average())["embeddings.position_ids"], ids)


def test_an_alias_is_one_whatever_it_is() -> None:
    assert classify("lm_head.weight", (9, 4), FLOAT, "embed_tokens.weight") is Role.TIED_ALIAS
    assert classify("n", (), torch.int64, "m") is Role.TIED_ALIAS


def test_the_words_of_a_recipe_are_the_values() -> None:
    assert Role("expert-stack") is Role.EXPERT_STACK
    assert {role.value for role in Role} == {
        "matrix", "conv", "expert-stack", "embedding", "vector", "scalar", "norm-stat", "counter",
        "tied-alias",
    }  # fmt: skip
