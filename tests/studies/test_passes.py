"""One forward pass, layer by layer: order, names, kinds, whoever computes them."""

import torch
import torch.nn.functional as F
from torch import nn

from stockpot.networks import build
from stockpot.studies.weights_features.passes import observe


def seen(network, inputs):
    steps = []
    output = observe(network, inputs, lambda step: steps.append((step.name, step.kind)))
    return steps, output


class Functional(nn.Module):
    """Activations as modules, as functions and in place; one layer twice; a residual sum."""

    def __init__(self):
        super().__init__()
        self.first, self.norm = nn.Linear(4, 4), nn.LayerNorm(4)
        self.act, self.drop = nn.ReLU(inplace=True), nn.Dropout(0.5)
        self.block = Residual()

    def forward(self, x):
        x = self.drop(self.act(self.norm(self.first(x))))
        return self.block(F.gelu(self.first(x)).tanh_())


class Residual(nn.Module):
    def __init__(self):
        super().__init__()
        self.inner = nn.Linear(4, 4)

    def forward(self, x):
        return x + self.inner(x), None


def test_layers_are_told_in_the_order_in_which_they_run():
    network = Functional().eval()
    network.forward = lambda x: Functional.forward(network, x)[0]
    steps, output = seen(network, torch.rand(3, 4))
    assert steps == [
        ("first", "weights"),
        ("norm", "normalisation"),
        ("act", "activation"),
        ("first#2", "weights"),
        ("network", "activation"),
        ("network#2", "activation"),
        ("block.inner", "weights"),
        ("block", "block"),
    ]
    assert output.shape == (3, 4)


def test_an_activation_in_place_still_tells_what_it_got():
    network = nn.Sequential(nn.Linear(4, 4), nn.ReLU(inplace=True)).eval()
    found = []
    batch = torch.randn(5, 4)

    def see(step):
        found.append((step.inputs.clone(), step.output.clone(), step.call))

    with torch.no_grad():
        observe(network, batch, see)
    (x, z, linear), (got, out, act) = found
    assert torch.equal(x, batch)
    assert torch.equal(got, z)
    assert bool((got < 0).any())
    assert torch.equal(out, got.relu())
    assert torch.equal(linear(batch), z)
    again = got.clone()
    assert torch.equal(act(got), out)
    assert torch.equal(got, again)


def test_residual_networks_tell_of_functional_activations_once():
    network = build("resnet-8", num_classes=3, in_channels=1, image_size=8, width=4)
    steps, _ = seen(network, torch.rand(2, 1, 8, 8))
    names = [name for name, _ in steps]
    assert len(set(names)) == len(names)
    assert [name for name, kind in steps if kind == "activation"] == [
        "body.2",
        *(f"body.{block}{inner}" for block in (3, 4, 5) for inner in (".path.2", "")),
    ]
    assert names[-1] == "head"


def test_nothing_stays_on_the_network_and_its_output_is_its_own():
    network = build("vit-tiny", num_classes=3, in_channels=1, image_size=8, width=12)
    images = torch.rand(2, 1, 8, 8)
    with torch.no_grad():
        _, output = seen(network, images)
        assert torch.equal(output, network(images))
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in network.modules())
