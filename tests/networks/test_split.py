import copy

import pytest
import torch
from torch import nn

from stockpot.errors import StockpotError
from stockpot.networks import FAMILY, Headed, build, headed

IMAGES = torch.rand(6, 1, 8, 8, generator=torch.Generator().manual_seed(0))


def layers(*more):
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 8), nn.ReLU(), *more).eval()


class Twice(nn.Module):
    def __init__(self):
        super().__init__()
        self.body, self.head = nn.Linear(64, 8), nn.Linear(8, 8)

    def forward(self, images):
        return self.head(self.head(self.body(images.flatten(1))))


class Timm(nn.Module):
    """A head that only get_classifier tells from the layer that is called after it."""

    def __init__(self):
        super().__init__()
        self.body, self.fc, self.late = nn.Linear(64, 8), nn.Linear(8, 3), nn.Linear(8, 3)

    def get_classifier(self):
        return self.fc

    def forward(self, images):
        features = self.body(images.flatten(1))
        logits = self.fc(features)
        self.late(features)
        return logits


class Pair(nn.Module):
    def __init__(self):
        super().__init__()
        self.head = nn.Linear(64, 3)

    def forward(self, images):
        return self.head(images.flatten(1)), 0


class Unused(nn.Module):
    def __init__(self):
        super().__init__()
        self.head, self.real = nn.Linear(64, 3), nn.Linear(64, 3)

    def forward(self, images):
        return self.real(images.flatten(1))


@pytest.mark.parametrize("name", sorted(FAMILY.by_name))
def test_every_built_in_network_is_its_head_after_its_features(name):
    network = build(name, num_classes=3, in_channels=1, image_size=8)
    split = headed(network, IMAGES)
    logits, features = split.run(IMAGES)
    assert split.head is network.head
    assert torch.equal(logits, network(IMAGES))
    assert torch.equal(features, network.features(IMAGES))
    assert torch.equal(split.head(features), logits)


def test_a_run_is_one_forward_pass_and_leaves_nothing_behind():
    network = build("cnn", num_classes=3, in_channels=1, image_size=8)
    split = headed(network, IMAGES)
    passes = []
    network.body.register_forward_hook(lambda *_: passes.append(1))
    split.run(IMAGES)
    assert len(passes) == 1
    assert not network.head._forward_pre_hooks


def test_the_last_linear_layer_called_is_the_head_where_none_is_declared():
    network = layers(nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 3))
    split = headed(network, IMAGES)
    assert split.name == "5"
    assert torch.equal(split.run(IMAGES)[1], network[:5](IMAGES))
    assert not any(one._forward_hooks for one in network.modules())


def test_a_declared_head_goes_before_the_last_layer_called():
    network = Timm().eval()
    assert headed(network, IMAGES).head is network.fc
    network.fc, network.late = network.late, nn.Identity()
    network.get_classifier = lambda: network.late  # what timm gives where there is no head
    assert headed(network.eval(), IMAGES).head is network.fc


@pytest.mark.parametrize(
    ("network", "words"),
    [
        (layers(nn.Linear(8, 3), nn.Softmax(1)), "The head '3' of Sequential gives other values"),
        (layers(nn.Linear(8, 3), nn.Hardtanh(-0.01, 0.01)), "gives other values"),
        (layers(nn.Linear(8, 3), nn.Unflatten(1, (3, 1))), r"network's output is \(6, 3, 1\)"),
        (layers(nn.Unflatten(1, (2, 4)), nn.Linear(4, 3)), r"sees \(6, 2, 4\) for 6 samples"),
        (nn.Sequential(nn.Conv2d(1, 3, 8), nn.Flatten()), "calls no nn.Linear"),
        (Twice(), "was called 2 times in one pass"),
        (Unused(), "The head 'head' of Unused was called 0 times"),
        (Pair(), "must return logits as one tensor"),
    ],
)
def test_a_network_that_does_not_end_in_its_head_is_refused(network, words):
    with pytest.raises(StockpotError, match=words):
        headed(network.eval(), IMAGES)


def test_values_that_are_not_finite_are_refused():
    network = build("mlp", num_classes=3, in_channels=1, image_size=8)
    nn.init.constant_(network.head.bias, float("nan"))
    with pytest.raises(StockpotError, match="off by nan"):
        headed(network, IMAGES)


def test_training_mode_is_refused_by_the_name_of_the_module():
    network = layers(nn.Dropout(), nn.Linear(8, 3))
    network[3].train()
    with pytest.raises(StockpotError, match="'3' is in training mode"):
        headed(network, IMAGES)


def test_the_split_of_a_copy():
    network = build("cnn", num_classes=3, in_channels=1, image_size=8)
    split = headed(network, IMAGES)
    other = copy.deepcopy(network)
    nn.init.zeros_(other.head.weight)
    moved = split.on(other)
    assert moved.network is other
    assert moved.head is other.head
    assert torch.equal(moved.run(IMAGES)[0], other(IMAGES))
    with pytest.raises(StockpotError, match="has no linear layer 'head'"):
        split.on(layers(nn.Linear(8, 3)))


def test_a_run_that_fails_leaves_no_hook():
    network = build("mlp", num_classes=3, in_channels=1, image_size=8)
    with pytest.raises(RuntimeError):
        Headed(network, network.head).run(torch.rand(2, 1, 9, 9))
    assert not network.head._forward_pre_hooks
