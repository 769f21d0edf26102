"""The tangent of a network against finite differences, and task arithmetic that is exact in it."""

import pytest
import torch
from torch import nn

import stockpot as sp
from stockpot.data import digits
from stockpot.evaluation import accuracy, predict
from stockpot.methods import TaskArithmetic
from stockpot.networks import build
from stockpot.training import Fit, fit, linearise

NETWORKS = ["mlp", "cnn", "resnet-8", "vit-tiny"]


def network(name, *, seed=0):
    torch.manual_seed(seed)
    return build(name, num_classes=10, in_channels=1, image_size=8).eval()


def moved(tangent, *, seed, size=0.01):
    """The same tangent at other weights."""
    torch.manual_seed(seed)
    state = {
        name: one + size * torch.randn_like(one) if one.is_floating_point() else one
        for name, one in tangent.state_dict().items()
        if "running" not in name
    }
    tangent.load_state_dict(state, strict=False)
    return tangent


@pytest.mark.parametrize("name", NETWORKS)
def test_it_is_the_network_at_its_weights_and_has_its_slope(name):
    base, x = network(name).double(), torch.rand(4, 1, 8, 8, dtype=torch.float64)
    tangent = linearise(base)
    torch.testing.assert_close(tangent(x), base(x))
    moved(tangent, seed=1)
    there = {n: p.detach() for n, p in tangent.network.named_parameters()}
    step, ends = 1e-6, []
    for sign in (1, -1):
        near = {n: p + sign * step * (there[n] - p) for n, p in base.named_parameters()}
        ends.append(torch.func.functional_call(base, near, (x,)))
    slope = (ends[0] - ends[1]) / (2 * step)
    torch.testing.assert_close(tangent(x), base(x) + slope, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("name", NETWORKS)
def test_gradients_at_the_start_are_the_networks(name):
    base, x = network(name), torch.rand(4, 1, 8, 8)
    tangent = linearise(base).train()
    assert not any(module.training for module in tangent.network.modules())
    tangent(x).square().sum().backward()
    base(x).square().sum().backward()
    for one, other in zip(tangent.parameters(), base.parameters(), strict=True):
        torch.testing.assert_close(one.grad, other.grad, rtol=1e-3, atol=1e-4)


def test_a_sum_of_task_vectors_adds_up_their_functions():
    base, x = network("vit-tiny"), torch.rand(4, 1, 8, 8)
    models = [moved(linearise(base), seed=seed) for seed in (1, 2)]
    states = [one.state_dict() for one in models]
    assert list(states[0]) == list(base.state_dict())
    merged = linearise(base)
    merged.load_state_dict(sp.merge(states, TaskArithmetic(scale=0.5), base=base.state_dict()))
    with torch.no_grad():
        expected = base(x) + 0.5 * sum(one(x) - base(x) for one in models)
        torch.testing.assert_close(merged(x), expected, rtol=1e-4, atol=1e-5)


def test_it_is_fitted_as_any_network():
    data = digits().take(torch.arange(300))
    base = fit(network("mlp"), data, Fit(epochs=1, lr=0.01))
    tuned = fit(linearise(base), data, Fit(epochs=4, lr=0.01))
    assert accuracy(predict(tuned, data)) > accuracy(predict(base, data))
    assert torch.equal(tuned.anchor_0, next(base.parameters()))
    assert isinstance(tuned.network, type(base))
    assert not torch.equal(next(tuned.parameters()), next(base.parameters()))


def test_a_network_that_is_linear_in_its_weights_is_its_own_tangent():
    base = nn.Linear(3, 2)
    tangent, x = moved(linearise(base), seed=1, size=1.0), torch.rand(5, 3)
    torch.testing.assert_close(tangent(x), tangent.network(x))
