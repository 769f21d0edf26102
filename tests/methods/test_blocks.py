"""Which tensors of well-known networks cart decomposes: the matrices of their blocks, all of them.

Names are those that the libraries give; B is a block's number and the first two blocks are there.
"""

import pytest
import torch

from stockpot.checkpoints.roles import classify
from stockpot.core import Described, Selection
from stockpot.methods import Cart, TsvM
from stockpot.methods.matrices import numbered_blocks

WIDE, NARROW = (12, 8), (8,)

NETWORKS: dict[str, tuple[str, str]] = {
    # name: matrices inside the blocks; matrices and embeddings outside, and what is none inside
    "pythia": (
        "gpt_neox.layers.B.attention.query_key_value.weight"
        " gpt_neox.layers.B.attention.dense.weight"
        " gpt_neox.layers.B.mlp.dense_h_to_4h.weight gpt_neox.layers.B.mlp.dense_4h_to_h.weight",
        "gpt_neox.embed_in.weight embed_out.weight",
    ),
    "bloom": (
        "transformer.h.B.self_attention.query_key_value.weight"
        " transformer.h.B.self_attention.dense.weight transformer.h.B.mlp.dense_h_to_4h.weight"
        " transformer.h.B.mlp.dense_4h_to_h.weight",
        "transformer.word_embeddings.weight",
    ),
    "falcon": (
        "transformer.h.B.self_attention.query_key_value.weight"
        " transformer.h.B.self_attention.dense.weight transformer.h.B.mlp.dense_h_to_4h.weight"
        " transformer.h.B.mlp.dense_4h_to_h.weight",
        "transformer.word_embeddings.weight lm_head.weight",
    ),
    "opt": (
        "model.decoder.layers.B.self_attn.k_proj.weight"
        " model.decoder.layers.B.self_attn.v_proj.weight"
        " model.decoder.layers.B.self_attn.q_proj.weight model.decoder.layers.B.fc1.weight"
        " model.decoder.layers.B.self_attn.out_proj.weight model.decoder.layers.B.fc2.weight",
        "model.decoder.embed_tokens.weight model.decoder.embed_positions.weight"
        " model.decoder.project_in.weight",
    ),
    "whisper": (
        "model.encoder.layers.B.self_attn.k_proj.weight model.encoder.layers.B.fc1.weight"
        " model.encoder.layers.B.fc2.weight model.decoder.layers.B.encoder_attn.q_proj.weight"
        " model.decoder.layers.B.self_attn.out_proj.weight model.decoder.layers.B.fc2.weight",
        "model.decoder.embed_tokens.weight model.encoder.embed_positions.weight proj_out.weight",
    ),
    "dinov2": (
        "encoder.layer.B.attention.attention.query.weight"
        " encoder.layer.B.attention.output.dense.weight encoder.layer.B.mlp.fc1.weight"
        " encoder.layer.B.mlp.fc2.weight",
        "embeddings.cls_token",
    ),
    "swin, transformers": (
        "swin.encoder.layers.0.blocks.B.attention.self.query.weight"
        " swin.encoder.layers.0.blocks.B.attention.output.dense.weight"
        " swin.encoder.layers.1.blocks.B.intermediate.dense.weight"
        " swin.encoder.layers.1.blocks.B.output.dense.weight",
        "classifier.weight"
        " swin.encoder.layers.0.blocks.B.attention.self.relative_position_bias_table",
    ),
    "swin, timm": (
        "layers.0.blocks.B.attn.qkv.weight layers.0.blocks.B.attn.proj.weight"
        " layers.1.blocks.B.mlp.fc1.weight layers.1.blocks.B.mlp.fc2.weight",
        "head.fc.weight layers.0.blocks.B.attn.relative_position_bias_table",
    ),
    "vit, timm": (
        "blocks.B.attn.qkv.weight blocks.B.attn.proj.weight blocks.B.mlp.fc1.weight"
        " blocks.B.mlp.fc2.weight",
        "head.weight",
    ),
    "vit, transformers": (
        "vit.encoder.layer.B.attention.attention.query.weight"
        " vit.encoder.layer.B.output.dense.weight"
        " vit.encoder.layer.B.attention.output.dense.weight"
        " vit.encoder.layer.B.intermediate.dense.weight",
        "classifier.weight vit.pooler.dense.weight",
    ),
    "clip, open_clip": (
        "visual.transformer.resblocks.B.attn.in_proj_weight"
        " visual.transformer.resblocks.B.attn.out_proj.weight"
        " visual.transformer.resblocks.B.mlp.c_fc.weight transformer.resblocks.B.mlp.c_proj.weight",
        "visual.positional_embedding visual.proj token_embedding.weight text_projection",
    ),
    "clip, transformers": (
        "vision_model.encoder.layers.B.self_attn.k_proj.weight"
        " text_model.encoder.layers.B.mlp.fc1.weight text_model.encoder.layers.B.mlp.fc2.weight",
        "visual_projection.weight text_projection.weight"
        " text_model.embeddings.token_embedding.weight",
    ),
    "bert": (
        "bert.encoder.layer.B.attention.self.query.weight bert.encoder.layer.B.output.dense.weight"
        " bert.encoder.layer.B.attention.output.dense.weight"
        " bert.encoder.layer.B.intermediate.dense.weight",
        "bert.embeddings.word_embeddings.weight bert.pooler.dense.weight"
        " cls.predictions.transform.dense.weight",
    ),
    "llama": (
        "model.layers.B.self_attn.q_proj.weight model.layers.B.self_attn.o_proj.weight"
        " model.layers.B.mlp.gate_proj.weight model.layers.B.mlp.up_proj.weight"
        " model.layers.B.mlp.down_proj.weight",
        "model.embed_tokens.weight lm_head.weight",
    ),
    "gpt-2": (
        "transformer.h.B.attn.c_attn.weight transformer.h.B.attn.c_proj.weight"
        " transformer.h.B.mlp.c_fc.weight transformer.h.B.mlp.c_proj.weight",
        "transformer.wte.weight transformer.wpe.weight lm_head.weight",
    ),
    "a mixture of experts, its first block dense": (
        "model.layers.B.self_attn.q_proj.weight model.layers.0.mlp.up_proj.weight"
        " model.layers.1.mlp.experts.B.up_proj.weight model.layers.1.mlp.gate.weight",
        "model.embed_tokens.weight",
    ),
}  # fmt: skip


def expanded(names: str) -> list[str]:
    return list(dict.fromkeys(n.replace("B", b, 1) for n in names.split() for b in "01"))


def described(name: str, shape: tuple[int, ...]) -> Described:
    return Described(name, shape, classify(name, shape, torch.float32).value)


def chosen(method: Cart | TsvM, network: str) -> tuple[Selection, list[str], list[str]]:
    inside, outside = (expanded(names) for names in NETWORKS[network])
    biases = [f"{name.removesuffix('.weight')}.bias" for name in inside]
    tensors = [described(name, WIDE) for name in (*inside, *outside)]
    tensors += [described(name, NARROW) for name in biases]
    return method.select(tensors, 3), inside, outside


@pytest.mark.parametrize("network", NETWORKS)
def test_cart_takes_the_matrices_inside_numbered_blocks(network: str) -> None:
    selection, inside, _ = chosen(Cart(), network)
    assert sorted(selection.views) == sorted(inside)
    series = {name.split(".0.")[0] for name in inside if ".0." in name}
    assert any(f"'{one}.N'" in selection.kind for one in series), selection.kind


@pytest.mark.parametrize("network", NETWORKS)
def test_the_paper_s_names_are_an_option(network: str) -> None:
    selection, inside, _ = chosen(Cart(tensors="attention-mlp"), network)
    assert sorted(selection.views) == sorted(n for n in inside if "attn" in n or "mlp" in n)
    assert "in their names" in selection.kind


def test_a_text_projection_is_not_decomposed_and_other_heads_are() -> None:
    for network in ("clip, open_clip", "clip, transformers"):
        selection, inside, _ = chosen(TsvM(), network)
        heads = [
            name for name in ("visual.proj", "visual_projection.weight") if name in selection.views
        ]
        assert len(heads) == 1
        assert not [name for name in selection.views if "text_projection" in name]
        assert set(inside) <= set(selection.views)


def test_without_blocks_all_matrices_are_taken() -> None:
    """The layers of a Sequential are none, nor are stages without matrices."""
    shapes = {"net.0.weight": WIDE, "net.2.weight": WIDE, "fc.weight": WIDE}
    stages = {f"layer1.{b}.conv.weight": (4, 4, 3, 3) for b in (0, 1)} | {"fc.weight": WIDE}
    for network in (shapes, stages):
        tensors = [described(name, shape) for name, shape in network.items()]
        matrices = [t.name for t in tensors if t.role == "matrix"]
        selection = Cart().select(tensors, 3)
        assert list(selection.views) == matrices
        assert selection.kind == "matrices"
    assert not Cart(tensors="blocks").select([described("fc.weight", WIDE)], 3).views


def test_blocks_are_series_or_the_only_block_there_is() -> None:
    assert numbered_blocks(["a.0.b.w", "a.0.c.w", "b.0", "c.1.w"]) == {
        "a.0.b.w": "a",
        "a.0.c.w": "a",
    }
    assert numbered_blocks(["a.0.b.w", "a.7.b.w", "a.7.c.w", "b.1"]) == {
        "a.0.b.w": "a",
        "a.7.b.w": "a",
        "a.7.c.w": "a",
    }
