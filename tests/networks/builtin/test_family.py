from dataclasses import replace

import pytest
import torch

from stockpot.errors import FieldError, StockpotError
from stockpot.networks import FAMILY, build
from stockpot.values.family import plain_value


@pytest.fixture(params=sorted(FAMILY.by_name))
def name(request):
    return request.param


@pytest.mark.parametrize(("channels", "size"), [(1, 8), (3, 11)])
def test_a_network_is_its_head_after_its_features(name, channels, size):
    network = build(name, num_classes=7, in_channels=channels, image_size=size)
    images = torch.rand(5, channels, size, size)
    logits = network(images)
    assert logits.shape == (5, 7)
    assert torch.equal(network.head(network.features(images)), logits)
    assert network.head.in_features == network.features(images).shape[1]


def test_the_seed_decides_the_weights_and_leaves_torch_alone(name):
    options = {"num_classes": 3, "in_channels": 1, "image_size": 8}
    before = torch.get_rng_state()
    first, again, other = (build(name, seed=seed, **options) for seed in (0, 0, 1))
    assert torch.equal(torch.get_rng_state(), before)
    pairs = zip(first.parameters(), again.parameters(), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)
    assert not torch.equal(first.head.weight, other.head.weight)


def test_a_new_network_is_in_evaluation_mode(name):
    network = build(name, num_classes=3, in_channels=1, image_size=8)
    assert not any(module.training for module in network.modules())


def test_every_parameter_takes_part(name):
    network = build(name, num_classes=3, in_channels=1, image_size=8)
    network(torch.rand(4, 1, 8, 8)).square().sum().backward()
    assert all(bool(one.grad.abs().sum() > 0) for one in network.parameters())


@pytest.mark.parametrize(
    ("name", "change", "words"),
    [
        ("cnnn", {}, "there is no network 'cnnn': did you mean 'cnn'"),
        ("resnet20", {}, "did you mean 'resnet-20'"),
        ("mlp", {"widht": 4}, "mlp: unknown key 'widht': did you mean 'width'"),
        ("mlp", {"depth": 0}, r"mlp: depth must be a whole number in \[1, ∞\); got 0"),
        ("mlp", {"width": "wide"}, r"width must be a whole number in \[1, ∞\); got 'wide'"),
        ("mlp", {"norm": "group"}, "norm"),
        ("cnn", {"width": 2.5}, "width must be a whole number"),
        ("cnn", {"num_classes": True}, "num_classes must be a whole number"),
        ("resnet-8", {"norm": "layer"}, "norm must be one of 'batch', 'group'; got 'layer'"),
        ("resnet-8", {"norm": 1}, "norm must be one of 'batch', 'group'; got 1"),
        ("resnet-8", {"depth": 20}, "depth"),
        ("resnet-8", {"dropout": 1}, r"dropout must be in \[0, 1\); got 1"),
        ("resnet-8", {"dropout": True}, "dropout must be in"),
        ("resnet-8", {"dropout": float("nan")}, "dropout must be in"),
        ("cnn", {"dropout": 0.1}, "dropout"),
    ],
)
def test_bad_options_are_refused_by_name(name, change, words):
    with pytest.raises(FieldError, match=words):
        build(name, **{"num_classes": 3, "in_channels": 1, "image_size": 8, **change})


def test_what_a_name_has_settled_is_not_offered():
    with pytest.raises(FieldError) as caught:
        build("resnet-8", num_classes=3, in_channels=1, image_size=8, depth=8)
    assert str(caught.value) == "resnet-8: unknown key 'depth': did you mean 'width'?"


def test_a_missing_option_is_named():
    with pytest.raises(FieldError, match="image_size"):
        build("mlp", num_classes=3, in_channels=1)


@pytest.mark.parametrize(
    ("name", "change", "words"),
    [
        ("cnn", {"image_size": 3}, "cnn: image_size"),
        ("cnn", {"width": 6}, "cnn: image_size"),
        ("resnet-8", {"image_size": 2}, "resnet-8: image_size"),
        ("resnet-8", {"width": 18}, "resnet-8: image_size"),
        ("vit-tiny", {"heads": 5}, "vit-tiny: width must be a multiple of heads"),
        ("vit-tiny", {"patch": 9}, "patch at most image_size"),
    ],
)
def test_a_network_refuses_what_it_cannot_be_built_for(name, change, words):
    with pytest.raises(StockpotError, match=words):
        build(name, **{"num_classes": 3, "in_channels": 1, "image_size": 8, **change})


def test_dropout_is_of_training_alone_and_has_no_weights():
    options = {"num_classes": 3, "in_channels": 1, "image_size": 8}
    plain, dropping = (build("resnet-8", **options, **own) for own in ({}, {"dropout": 0.5}))
    assert plain.state_dict().keys() == dropping.state_dict().keys()
    assert not any(isinstance(one, torch.nn.Dropout) for one in plain.modules())
    images = torch.rand(64, 1, 8, 8)
    assert torch.equal(plain(images), dropping(images))
    features = dropping.train().features(images)
    was = plain.train().features(images)
    left = features == 0
    assert 0.4 < float(left[was > 0].float().mean()) < 0.6
    torch.testing.assert_close(features[~left], 2 * was[~left])


@pytest.mark.parametrize("name", FAMILY.by_name)
def test_a_network_is_a_value_that_is_written_and_read_back(name):
    config = FAMILY.read({"name": name, "num_classes": 3, "in_channels": 1, "image_size": 8})
    assert plain_value(config)["name"] == name
    assert FAMILY.read(plain_value(config)) == config
    with pytest.raises(FieldError, match=rf"^{name}: num_classes must be a whole number in"):
        replace(config, num_classes=0)
