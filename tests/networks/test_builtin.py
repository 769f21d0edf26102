import pytest
import torch

from stockpot.errors import FieldError, StockpotError
from stockpot.networks import NETWORKS, build


@pytest.fixture(params=sorted(NETWORKS))
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


@pytest.mark.parametrize(
    ("name", "change", "words"),
    [
        ("cnnn", {}, "Did you mean 'cnn'"),
        ("mlp", {"widht": 4}, "widht"),
        ("mlp", {"depth": 0}, "depth must be a whole number of at least 1; got 0"),
        ("cnn", {"width": 2.5}, "width must be a whole number"),
        ("cnn", {"num_classes": True}, "num_classes must be a whole number"),
    ],
)
def test_bad_options_are_refused_by_name(name, change, words):
    with pytest.raises(FieldError, match=words):
        build(name, **{"num_classes": 3, "in_channels": 1, "image_size": 8, **change})


def test_a_missing_option_is_named():
    with pytest.raises(FieldError, match="image_size"):
        build("mlp", num_classes=3, in_channels=1)


@pytest.mark.parametrize("change", [{"image_size": 3}, {"width": 6}])
def test_the_cnn_refuses_what_it_cannot_be_built_for(change):
    with pytest.raises(StockpotError, match="cnn: image_size"):
        build("cnn", **{"num_classes": 3, "in_channels": 1, "image_size": 8, **change})
