import copy

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file

from stockpot.errors import CheckpointError, FieldError, StockpotError
from stockpot.networks import headed, load_weights, open_network, save_weights

SIZES = {"num_classes": 3, "in_channels": 3, "image_size": 8}


def test_logits_are_scaled_cosines_of_image_and_text(clip, transformers):
    tower = transformers.CLIPVisionModelWithProjection.from_pretrained(clip).eval()
    images = torch.rand(4, 3, 8, 8)
    text = load_file(clip / "heads" / "cars.safetensors")["text_embeds"]
    cosines = F.cosine_similarity(tower(images).image_embeds[:, None], text[None], dim=-1)
    network = open_network(f"clip:{clip}", **SIZES)
    torch.testing.assert_close(network(images), torch.tensor(2.0).exp() * cosines)


def test_its_head_is_linear_without_bias_on_features_of_length_one(clip):
    network = open_network(f"clip:{clip}", **SIZES)
    images = torch.rand(4, 3, 8, 8)
    split = headed(network, images)
    logits, features = split.run(images)
    assert split.name == "head"
    assert split.head.bias is None
    assert torch.equal(split.head(features), logits)
    torch.testing.assert_close(features.norm(dim=1), torch.ones(4))


def test_the_head_is_neither_trained_nor_saved(clip, tmp_path):
    network = open_network(f"clip:{clip}", **SIZES)
    assert network.state_dict().keys() == load_file(clip / "model.safetensors").keys()
    assert not any(name.startswith("head") for name, _ in network.named_parameters())
    save_weights(network, tmp_path / "tower.safetensors", {})
    images = torch.rand(2, 3, 8, 8)
    expected = network(images)
    other = copy.deepcopy(network)
    torch.nn.init.zeros_(other.visual_projection.weight)
    assert not torch.equal(other(images), expected)
    assert torch.equal(load_weights(other, tmp_path / "tower.safetensors")(images), expected)


def test_one_of_several_heads_is_named(clip, store_head):
    store_head(clip, "birds", torch.randn(5, 6))
    with pytest.raises(FieldError, match=r"say which head; .* there are birds, cars"):
        open_network(f"clip:{clip}", **SIZES)
    network = open_network({"name": f"clip:{clip}", "head": "birds"}, **{**SIZES, "num_classes": 5})
    assert network(torch.rand(2, 3, 8, 8)).shape == (2, 5)


def test_a_whole_clip_serves_by_its_vision_tower(clip, clip_config, transformers, tmp_path):
    text = transformers.CLIPTextConfig(
        vocab_size=20, hidden_size=16, num_hidden_layers=1, num_attention_heads=2,
        intermediate_size=32, max_position_embeddings=8,
    )  # fmt: skip
    config = transformers.CLIPConfig(
        text_config=text.to_dict(), vision_config=clip_config.to_dict(), projection_dim=6
    )
    whole = transformers.CLIPModel(config).eval()
    whole.save_pretrained(tmp_path / "whole")
    (clip / "heads").rename(tmp_path / "whole" / "heads")
    images = torch.rand(2, 3, 8, 8)
    network = open_network(f"clip:{tmp_path / 'whole'}", **SIZES)
    state = network.state_dict()
    assert all(torch.equal(state[name], whole.state_dict()[name]) for name in state)
    assert network(images).shape == (2, 3)


@pytest.mark.parametrize(
    ("embeds", "others", "words"),
    [
        (torch.randn(4, 6), {}, r"must be \(3, D\), one row a class.*got \(4, 6\)"),
        (torch.randn(3), {}, r"got \(3,\)"),
        (
            torch.randn(3, 5),
            {},
            "head's text embeddings have 5 dimensions; the tower's images have 6",
        ),
        (torch.randn(3, 6), {"logit_scale": torch.ones(3)}, r"logit_scale \(\); got \(3, 6\) and"),
        (torch.randn(3, 6), {"bias": torch.ones(3)}, r"holds \['bias', 'logit_scale'"),
    ],
)
def test_a_head_that_does_not_fit_is_refused(clip, store_head, embeds, others, words):
    store_head(clip, "cars", embeds, **others)
    with pytest.raises(CheckpointError, match=words):
        open_network(f"clip:{clip}", **SIZES)


@pytest.mark.parametrize(
    ("own", "words"),
    [
        ({"head": "boats"}, "has no head 'boats'; there are cars"),
        ({"head": 3}, "has no head '3'"),
        ({"heads": "cars"}, "unknown key 'heads': did you mean 'head'"),
    ],
)
def test_its_own_keys_are_checked(clip, own, words):
    with pytest.raises(FieldError, match=words):
        open_network({"name": f"clip:{clip}", **own}, **SIZES)


def test_what_is_no_tower_is_refused(clip, vit):
    with pytest.raises(StockpotError, match=r"cannot take inputs of shape \(1, 3, 9, 9\)"):
        open_network(f"clip:{clip}", **{**SIZES, "image_size": 9})
    state = load_file(clip / "model.safetensors")
    state["adapter.weight"] = state.pop("visual_projection.weight")
    save_file(state, clip / "model.safetensors", {"format": "pt"})
    with pytest.raises(CheckpointError, match=r"adapter\.weight, visual_projection\.weight"):
        open_network(f"clip:{clip}", **SIZES)
