import pytest
import torch
from safetensors import safe_open
from torch import nn

from stockpot.errors import StockpotError
from stockpot.networks import NetworkCost, build, cost_of, open_network, save_weights


@pytest.mark.parametrize(
    ("layer", "shape", "macs"),
    [
        (nn.Linear(7, 5), (7,), 7 * 5),
        (nn.Linear(7, 5, bias=False), (11, 7), 11 * 7 * 5),
        (nn.Conv2d(3, 8, 3, padding=1), (3, 10, 10), 10 * 10 * 9 * 3 * 8),
        (nn.Conv2d(4, 8, 3, stride=2, groups=2), (4, 9, 9), 4 * 4 * 9 * 2 * 8),
        (nn.Sequential(nn.BatchNorm2d(3), nn.ReLU(), nn.MaxPool2d(2)), (3, 8, 8), 0),
    ],
)
def test_multiply_adds_of_known_layers(layer, shape, macs):
    cost = cost_of(layer.eval(), torch.rand(4, *shape))
    assert cost.macs == macs
    assert cost.parameters == sum(one.numel() for one in layer.parameters())


def test_a_transformer_counts_its_attention_once():
    width, depth, tokens, classes = 24, 5, 4 * 4 + 1, 7
    network = build(
        "vit-tiny", num_classes=classes, in_channels=3, image_size=16, width=width, depth=depth
    )
    block = tokens * 12 * width**2 + 2 * tokens**2 * width  # products with weights; QKᵀ and AV
    expected = 16 * (3 * 4 * 4) * width + depth * block + width * classes
    assert cost_of(network, torch.rand(2, 3, 16, 16)).macs == expected


def test_a_transformer_of_the_library_counts_its_attention_too(vit):
    network = open_network(f"hf:{vit}", num_classes=3, in_channels=3, image_size=8)
    tokens, width, hidden = 5, 16, 32
    block = tokens * (4 * width**2 + 2 * width * hidden) + 2 * tokens**2 * width
    expected = 4 * (3 * 4 * 4) * width + 2 * block + width * 3
    assert cost_of(network, torch.rand(2, 3, 8, 8)).macs == expected


def test_the_residual_network_of_the_paper():
    network = build("resnet-20", num_classes=10, in_channels=3, image_size=32)
    first = 32 * 32 * 9 * 3 * 16
    stages = sum(
        side**2 * 9 * (before * width + 5 * width * width)
        for side, before, width in ((32, 16, 16), (16, 16, 32), (8, 32, 64))
    )
    assert cost_of(network, torch.rand(1, 3, 32, 32)).macs == first + stages + 64 * 10


def test_the_cost_is_of_one_sample_and_the_actual_size():
    network = nn.Sequential(nn.Conv2d(1, 2, 1), nn.Flatten()).eval()
    small, many = (cost_of(network, torch.rand(count, 1, 4, 4)) for count in (1, 9))
    assert small == many == NetworkCost(parameters=4, macs=32, nbytes=16)
    assert cost_of(network, torch.rand(1, 1, 8, 8)).macs == 128


def test_bytes_are_those_on_disk(tmp_path):
    network = build("resnet-8", num_classes=3, in_channels=1, image_size=8)
    save_weights(network, tmp_path / "n.safetensors", {})
    with safe_open(tmp_path / "n.safetensors", "pt") as file:
        stored = sum(file.get_tensor(name).nbytes for name in file.keys())  # noqa: SIM118
    assert cost_of(network, torch.rand(1, 1, 8, 8)).nbytes == stored


def test_tied_parameters_count_once():
    network = nn.Sequential(nn.Linear(4, 4, bias=False), nn.Linear(4, 4, bias=False)).eval()
    network[1].weight = network[0].weight
    assert cost_of(network, torch.rand(1, 4)) == NetworkCost(16, 32, 128)


def test_counting_changes_nothing_and_refuses_training_mode():
    network = build("resnet-8", num_classes=3, in_channels=1, image_size=8)
    before = {name: one.clone() for name, one in network.state_dict().items()}
    cost_of(network, torch.rand(2, 1, 8, 8))
    assert all(torch.equal(one, before[name]) for name, one in network.state_dict().items())
    with pytest.raises(StockpotError, match="training mode"):
        cost_of(network.train(), torch.rand(2, 1, 8, 8))
