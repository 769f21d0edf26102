"""The residual networks and the transformer against their papers."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from stockpot.networks import build, has_batch_norm

CIFAR = {"num_classes": 10, "in_channels": 3, "image_size": 32}


def count(network):
    return sum(one.numel() for one in network.parameters())


@pytest.mark.parametrize(("depth", "millions"), [(20, 0.27), (32, 0.46)])
def test_residual_networks_have_the_papers_number_of_parameters(depth, millions):
    assert round(count(build(f"resnet-{depth}", **CIFAR)) / 1e6, 2) == millions


@pytest.mark.parametrize("depth", [8, 14, 20, 32])
def test_the_depth_is_the_number_of_layers_with_weights(depth):
    network = build(f"resnet-{depth}", **CIFAR)
    assert sum(isinstance(one, nn.Conv2d | nn.Linear) for one in network.modules()) == depth


def test_group_norm_has_no_statistics_and_the_same_parameters():
    batch, group = (build("resnet-8", norm=norm, **CIFAR) for norm in ("batch", "group"))
    assert has_batch_norm(batch)
    assert not has_batch_norm(group)
    assert not list(group.buffers())
    assert count(batch) == count(group)


def test_a_residual_block_adds_its_input_halved_and_padded():
    network = build("resnet-8", **CIFAR)
    block = next(one for one in network.body if getattr(one, "stride", 1) == 2)
    nn.init.zeros_(block.path[-1].weight)  # the path's last normalisation gives zero
    x = torch.rand(2, 16, 6, 6)
    expected = torch.cat([x[:, :, ::2, ::2], torch.zeros(2, 16, 3, 3)], dim=1)
    assert torch.equal(block(x), expected)


@pytest.mark.parametrize("size", [8, 28, 32, 64])
def test_the_transformer_takes_images_of_any_size(size):
    network = build("vit-tiny", num_classes=5, in_channels=1, image_size=size)
    assert network(torch.rand(2, 1, size, size)).shape == (2, 5)
    assert network.positions.shape[1] == math.ceil(size / 4) ** 2 + 1
    assert len(network.blocks) >= 4
    assert network.head.in_features == 192


def test_padding_of_the_transformer_is_zeros_right_and_below():
    network = build("vit-tiny", num_classes=5, in_channels=1, image_size=7)
    whole = build("vit-tiny", num_classes=5, in_channels=1, image_size=8)
    whole.load_state_dict(network.state_dict())
    images = torch.rand(3, 1, 7, 7)
    assert torch.equal(network(images), whole(F.pad(images, (0, 1, 0, 1))))


def test_an_attention_block_is_torchs_own():
    network = build("vit-tiny", num_classes=5, in_channels=1, image_size=8, width=12)
    block = network.blocks[0]
    theirs = nn.TransformerEncoderLayer(
        12, 3, 48, dropout=0.0, activation="gelu", batch_first=True, norm_first=True
    )
    names = {
        "self_attn.in_proj_weight": block.qkv.weight,
        "self_attn.in_proj_bias": block.qkv.bias,
        "self_attn.out_proj.weight": block.out.weight,
        "self_attn.out_proj.bias": block.out.bias,
        "linear1.weight": block.mlp[0].weight,
        "linear1.bias": block.mlp[0].bias,
        "linear2.weight": block.mlp[2].weight,
        "linear2.bias": block.mlp[2].bias,
        "norm1.weight": block.norm1.weight,
        "norm1.bias": block.norm1.bias,
        "norm2.weight": block.norm2.weight,
        "norm2.bias": block.norm2.bias,
    }
    theirs.load_state_dict(names)
    tokens = torch.randn(2, 5, 12)
    torch.testing.assert_close(block(tokens), theirs(tokens))


def test_the_transformer_sees_the_order_of_patches():
    network = build("vit-tiny", num_classes=5, in_channels=1, image_size=8)
    images = torch.rand(2, 1, 8, 8)
    assert not torch.allclose(network(images), network(images.flip(2)))
