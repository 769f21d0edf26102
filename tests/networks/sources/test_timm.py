"""The twenty architectures of arXiv 2411.09263 from timm; needs timm's own environment."""

import tempfile
from pathlib import Path

import pytest
import torch
from safetensors import safe_open

import stockpot
from stockpot.errors import FieldError, StockpotError
from stockpot.methods import Average
from stockpot.networks import (
    cost_of,
    has_batch_norm,
    headed,
    load_weights,
    open_network,
    save_weights,
)
from stockpot.training import InModelMerge

pytestmark = pytest.mark.full

# Table 8 of the paper, 1000 classes at 224 pixels: 10^9 multiply-adds, 10^6 parameters.
PUBLISHED = {
    "resnet18": ("1.82", "11.7"),
    "resnet34": ("3.66", "21.8"),
    "resnet50": ("4.09", "25.6"),
    "resnet101": ("7.83", "44.5"),
    "resnet152": ("11.58", "60.2"),
    "densenet121": ("2.88", "8.0"),
    "densenet161": ("7.81", "28.7"),
    "densenet169": ("3.36", "14.3"),
    "densenet201": ("4.37", "20.0"),
    "vgg11": ("7.63", "132.9"),
    "vgg11_bn": ("7.76", "132.9"),
    "vgg13": ("11.34", "133.0"),
    "vgg13_bn": ("11.47", "133.0"),
    "vgg16": ("15.5", "138.4"),
    "vgg16_bn": ("15.52", "138.4"),
    "vgg19": ("19.6", "143.7"),
    "vgg19_bn": ("19.63", "143.7"),
    "deit_tiny_patch16_224": ("1.3", "5.7"),
    "vit_tiny_patch16_224": ("1.3", "5.7"),
    "vit_base_patch16_224": ("17.6", "86.4"),
}

# Table 8 says 14.3; torchvision gives this number for the same network.
PARAMETERS = {"densenet169": 14_149_480}

# Rows whose published figure counts more than convolutions and products, and not in one way: with
# normalisation DenseNet-121 would fit and DenseNet-169 would not. Here are torchvision's figures.
COUNTS_MORE = {
    "densenet121": "2.834",
    "densenet161": "7.728",
    "densenet201": "4.291",
    "vgg11_bn": "7.609",
    "vgg13_bn": "11.308",
}


def within(value, published, part):
    """Within a part of the figure, or equal to it in the digits that are printed."""
    digits = len(published.partition(".")[2])
    return abs(value - float(published)) <= max(part * float(published), 0.5 * 10**-digits)


@pytest.fixture(scope="module")
def timm():
    return pytest.importorskip("timm", reason="timm needs an environment of its own")


def small(name, seed):
    """A network for ten classes, at the size that the test can afford, and images for it."""
    size = 224 if "patch16" in name else 64
    sizes = {"num_classes": 10, "in_channels": 3, "image_size": size}
    return open_network(f"timm:{name}", seed=seed, **sizes), torch.rand(2, 3, size, size)


@pytest.mark.parametrize("name", PUBLISHED)
def test_cost_at_224_pixels_is_the_published_one(timm, name):
    network = open_network(f"timm:{name}", num_classes=1000, in_channels=3, image_size=224)
    cost = cost_of(network, torch.rand(1, 3, 224, 224))
    macs, parameters = PUBLISHED[name]
    if name in PARAMETERS:
        assert cost.parameters == PARAMETERS[name]
    else:
        assert within(cost.parameters / 1e6, parameters, 0.01)
    if name in COUNTS_MORE:
        assert within(cost.macs / 1e9, COUNTS_MORE[name], 0.001)
        assert within(cost.macs / 1e9, macs, 0.02)
        assert not within(cost.macs / 1e9, macs, 0.01)  # else it belongs with the others
    else:
        assert within(cost.macs / 1e9, macs, 0.01)


def check_split(network, images):
    split = headed(network, images)
    logits, features = split.run(images)
    assert split.head is network.get_classifier()
    assert torch.equal(logits, network(images))
    assert torch.equal(split.head(features), logits)
    pooled = network.forward_head(network.forward_features(images), pre_logits=True)
    torch.testing.assert_close(features, pooled)


@pytest.mark.parametrize("name", PUBLISHED)
def test_two_random_instances_split_merge_and_load(timm, name):
    network, images = small(name, seed=0)
    with torch.no_grad():
        check_split(network, images)
    assert has_batch_norm(network) == name.startswith(("resnet", "densenet")) | name.endswith("bn")
    with tempfile.TemporaryDirectory() as folder:  # half a gigabyte each, gone with the test
        first, other, soup = (Path(folder) / f"{one}.safetensors" for one in ("a", "b", "soup"))
        save_weights(network, first, {})
        save_weights(small(name, seed=1)[0], other, {})
        stockpot.merge_to(soup, [first, other], Average(), memory="64MiB")
        load_weights(network, soup)
        state = network.state_dict()
        with safe_open(first, "pt") as a, safe_open(other, "pt") as b:
            assert set(a.keys()) == set(b.keys()) == set(state)
            head = next(n for n, one in state.items() if one.shape[:1] == (10,) and one.ndim == 2)
            assert not torch.equal(a.get_tensor(head), b.get_tensor(head))
            for key, merged in state.items():
                mean = (a.get_tensor(key).double() + b.get_tensor(key).double()) / 2
                torch.testing.assert_close(merged.double(), mean, rtol=1e-6, atol=1e-7)
    with torch.no_grad():
        assert bool(network(images).isfinite().all())


CONVOLUTIONS = {"vgg19": 18, "resnet50": 53, "densenet121": 120}
"""VGG's two hidden linear layers are convolutions in timm."""


@pytest.mark.parametrize("name", CONVOLUTIONS)
def test_in_model_merging_visits_every_convolution_in_the_order_of_the_forward_pass(timm, name):
    network, images = small(name, seed=0)
    called: list[str] = []
    for path, module in network.named_modules():
        if isinstance(module, torch.nn.Conv2d):
            module.register_forward_hook(lambda *_, path=path: called.append(f"{path}.weight"))
    with torch.no_grad():
        network(images)
    merge = InModelMerge(p=1.0, tau=-1.0)
    before = {one: p.detach().clone() for one, p in network.named_parameters() if one in called}
    assert merge(network, 0).tensors == 0
    done = merge(network.train(), 0)
    assert len(called) == CONVOLUTIONS[name]
    assert done.tensors == len(called) - 10
    now = dict(network.named_parameters())
    assert [one for one in called if not torch.equal(before[one], now[one])] == called[10:]


def test_a_transformer_is_made_for_the_size_of_the_images(timm):
    sizes = {"num_classes": 10, "in_channels": 1, "image_size": 32}
    spec = {"name": "timm:vit_tiny_patch16_224", "patch_size": 8}
    network = open_network(spec, **sizes)
    assert network.pos_embed.shape[1] == 17
    with pytest.raises(StockpotError, match="cannot take inputs"):
        open_network({**spec, "img_size": 64}, **sizes)


@pytest.mark.parametrize(
    ("spec", "kind", "words"),
    [
        ("timm:resnet81", FieldError, "timm has no network 'resnet81': did you mean 'resnet"),
        ({"name": "timm:resnet18", "in_chans": 4}, FieldError, "in_chans is decided by the data"),
        ({"name": "timm:resnet18", "wdith": 4}, StockpotError, "cannot be built with .*wdith"),
    ],
)
def test_what_timm_does_not_have_is_refused(timm, spec, kind, words):
    with pytest.raises(kind, match=words):
        open_network(spec, num_classes=10, in_channels=3, image_size=32)
