"""Scopes, the penalty that aligns them, and the rescaling that needs no training."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file
from torch import nn

from stockpot.errors import FieldError, NonFiniteError, StockpotError
from stockpot.networks import build
from stockpot.training import (
    EVERY_PARAMETER,
    Layers,
    Scope,
    ScopeRegularizer,
    fuse_scopes,
    rescale_to_scope,
    scope_divergence,
    scope_of,
)


def network(*, seed=0, norm="batch"):
    torch.manual_seed(seed)
    return build("resnet-8", num_classes=5, in_channels=1, image_size=8, norm=norm)


def reference(weights, targets):
    """Penalty and gradients in NumPy, as papers write them."""
    total, gradients = 0.0, {}
    for name, weight in weights.items():
        w = weight.detach().double().numpy()
        mean, std, (aim, spread) = w.mean(), w.std(), targets[name]
        total += np.log(spread / std) + (std**2 + (mean - aim) ** 2) / (2 * spread**2) - 0.5
        slope = (mean - aim) / (w.size * spread**2)
        gradients[name] = slope + (1 / spread**2 - 1 / std**2) * (w - mean) / w.size
    return total, gradients


def test_which_tensors_count_is_explicit():
    one = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(4, 2))
    one.add_module("embedding", nn.Embedding(7, 4))
    assert list(Layers().of(one)) == ["0.weight", "3.weight"]
    assert list(Layers(roles=("conv",)).of(one)) == ["0.weight"]
    assert list(Layers(leave=("3.*",)).of(one)) == ["0.weight"]
    assert list(Layers(match=("3.*",)).of(one)) == ["3.weight"]
    assert set(EVERY_PARAMETER.of(one)) == dict(one.named_parameters()).keys()
    assert list(Layers().of(nn.ModuleDict({"module": one}))) == ["0.weight", "3.weight"]
    with pytest.raises(StockpotError, match="no tensor that Layers"):
        Layers(match=("nothing",)).of(one)
    with pytest.raises(FieldError, match="no role 'convs': did you mean 'conv'"):
        Layers(roles=("convs",))


def test_scopes_of_a_network_a_state_dict_and_a_file_are_the_same_bits(tmp_path):
    one = network()
    save_file(one.state_dict(), tmp_path / "a.safetensors")
    torch.save({"state_dict": one.state_dict()}, tmp_path / "a.pt")
    scopes = scope_of(one)
    assert scopes == scope_of(one.state_dict()) == scope_of(tmp_path / "a.safetensors")
    assert scopes == scope_of(tmp_path / "a.pt")
    assert len(scopes) == 8
    for name, scope in scopes.items():
        w = dict(one.named_parameters())[name].detach().double().numpy()
        assert scope == pytest.approx((w.mean(), w.std()), rel=1e-12)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
def test_a_large_tensor_is_read_in_pieces_and_a_far_mean_loses_nothing(dtype, tmp_path):
    generator = torch.Generator().manual_seed(1)
    weight = (1000 + torch.randn(700, 1001, generator=generator, dtype=torch.float64)).to(dtype)
    save_file({"w.weight": weight}, tmp_path / "a.safetensors")
    (scope,) = scope_of(tmp_path / "a.safetensors").values()
    w = weight.double().numpy()
    assert scope == pytest.approx((w.mean(), w.std()), rel=1e-12)


def test_a_scope_of_what_is_not_finite_or_empty_is_refused():
    with pytest.raises(NonFiniteError, match=r"'w\.weight' in the state dict holds NaN"):
        scope_of({"w.weight": torch.tensor([[math.nan, 1.0]])})
    with pytest.raises(StockpotError, match="is empty"):
        scope_of({"w.weight": torch.zeros(0, 3)})


scopes = st.tuples(st.floats(-2, 2), st.floats(0.1, 3)).map(lambda pair: Scope(*pair))


@given(st.lists(scopes, min_size=1, max_size=5))
def test_three_rules_of_fusion(several):
    means, stds = np.array(several).T
    named = [{"w": one} for one in several]
    expected = {
        "mean": (stds**2).mean(),
        "mixture": (stds**2 + (means - means.mean()) ** 2).mean(),
        "averaged": (stds**2).sum() / len(several) ** 2,
    }
    for rule, square in expected.items():
        fused = fuse_scopes(named, rule)["w"]
        assert fused == pytest.approx((means.mean(), np.sqrt(square)), rel=1e-9, abs=1e-12)


def test_the_mixture_is_the_scope_of_all_entries_together_and_weights_are_sizes():
    a, b = torch.randn(3, 8), 2 + torch.randn(5, 8)
    both = scope_of({"w.weight": torch.cat([a, b])})
    each = [scope_of({"w.weight": one}) for one in (a, b)]
    fused = fuse_scopes(each, "mixture", weights=[3, 5])
    assert fused["w.weight"] == pytest.approx(both["w.weight"], rel=1e-12)


def test_scopes_that_cannot_be_fused_are_refused():
    with pytest.raises(StockpotError, match="no scopes"):
        fuse_scopes([])
    with pytest.raises(StockpotError, match="has no 'b'"):
        fuse_scopes([{"a": Scope(0, 1), "b": Scope(0, 1)}, {"a": Scope(0, 1)}])
    with pytest.raises(StockpotError, match="weights of scopes"):
        fuse_scopes([{"a": Scope(0, 1)}], weights=[0.0])


def test_penalty_and_gradient_are_the_formulas():
    one, target = network(), scope_of(network(seed=1))
    weights = Layers().of(one)
    total, gradients = reference(weights, target)
    penalty = ScopeRegularizer(target, weight=0.3)(one)
    penalty.backward()
    assert penalty.item() == pytest.approx(0.3 * total, rel=1e-5)
    for name, parameter in one.named_parameters():
        if name in weights:
            np.testing.assert_allclose(parameter.grad, 0.3 * gradients[name], rtol=1e-3, atol=1e-9)
        else:
            assert parameter.grad is None


@settings(max_examples=30)
@given(st.floats(-1, 1), st.floats(0.05, 2), st.floats(-1, 1), st.floats(0.05, 2))
def test_the_gradient_agrees_with_autograd_in_float64(mean, std, aim, spread):
    one = nn.Linear(5, 3, bias=False).double()
    with torch.no_grad():
        one.weight.copy_(mean + std * one.weight / one.weight.std())
    w = one.weight.detach().clone().requires_grad_()
    var, own = torch.var_mean(w, correction=0)
    kl = (spread / var.sqrt()).log() + (var + (own - aim) ** 2) / (2 * spread**2) - 0.5
    kl.backward()
    ScopeRegularizer((aim, spread), weight=1.0)(one).backward()
    torch.testing.assert_close(one.weight.grad, w.grad, rtol=1e-6, atol=1e-9)
    scope = scope_of(one)["weight"]
    assert scope_divergence(scope, Scope(aim, spread)) == pytest.approx(kl.item(), rel=1e-6)


def test_the_penalty_is_zero_only_at_the_target_and_descent_reaches_it():
    one, target = network(norm="group"), (0.01, 0.05)
    regularizer = ScopeRegularizer(one)
    assert regularizer(one).item() == pytest.approx(0, abs=1e-10)
    regularizer = ScopeRegularizer(target, weight=1.0)
    optimiser = torch.optim.Adam(one.parameters(), lr=1e-2)
    before = regularizer(one).item()
    for _ in range(100):
        optimiser.zero_grad()
        regularizer(one).backward()
        optimiser.step()
    assert regularizer(one).item() < before / 1000
    for scope in scope_of(one).values():
        assert scope == pytest.approx(target, rel=0.1)


def test_a_layer_without_spread_has_a_finite_penalty_and_no_gradient_through_it():
    one = nn.Linear(4, 4)
    with torch.no_grad():
        one.weight.fill_(0.5)
    penalty = ScopeRegularizer((0.0, 0.1), weight=1.0)(one)
    penalty.backward()
    assert math.isfinite(penalty.item())
    torch.testing.assert_close(one.weight.grad, torch.full((4, 4), 0.5 / (16 * 0.01)))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_weights_have_a_penalty_in_float32(dtype):
    one = nn.Linear(64, 64).to(dtype)
    penalty = ScopeRegularizer((0.0, 0.05), weight=1.0)(one)
    expected, _ = reference(Layers().of(one), {"weight": (0.0, 0.05)})
    assert penalty.dtype == torch.float32
    assert penalty.item() == pytest.approx(expected, rel=1e-3)
    penalty.backward()
    assert one.weight.grad.dtype == dtype


def test_frozen_layers_count_and_get_no_gradient():
    one = network()
    one.head.weight.requires_grad_(False)
    ScopeRegularizer((0.0, 0.05))(one).backward()
    assert one.head.weight.grad is None


def test_targets_that_mean_nothing_are_refused():
    one = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    with torch.no_grad():
        one[1].weight.zero_()
    with pytest.raises(StockpotError, match=r"'1\.weight' .* deviation must be above 0"):
        ScopeRegularizer(one)
    ScopeRegularizer(one, layers=Layers(leave=("1.*",)))
    with pytest.raises(StockpotError, match=r"the target scope has no '1\.weight'"):
        ScopeRegularizer({"0.weight": (0.0, 1.0)})(one)
    with pytest.raises(FieldError, match="weight must be in"):
        ScopeRegularizer((0.0, 1.0), weight=-1.0)


def test_rescaling_meets_the_scope_and_changes_nothing_else():
    one, target = network(), scope_of(network(seed=1))
    done = rescale_to_scope(one, target)
    assert set(done.changed) == set(target)
    for name, scope in scope_of(done.state).items():
        assert scope == pytest.approx(target[name], rel=1e-5, abs=1e-7)
    for name, tensor in one.state_dict().items():
        if name not in target:
            assert torch.equal(done.state[name], tensor)
    again = rescale_to_scope(one, one)
    for name, tensor in one.state_dict().items():
        torch.testing.assert_close(again.state[name], tensor)


@pytest.mark.parametrize("std", [0.001, 1.0])
def test_rescaling_keeps_the_function_where_batch_norm_follows(std):
    one = network()
    images = torch.rand(32, 1, 8, 8)
    one.train()
    one(images)  # statistics of its own
    one.eval()
    done = rescale_to_scope(one, (0.0, std), keep="function")
    assert done.left == ("head.weight",)
    assert len(done.changed) == 7
    other = network(seed=3).eval()
    other.load_state_dict(done.state)
    torch.testing.assert_close(other(images), one(images), rtol=1e-4, atol=1e-4)
    for name in done.changed:
        assert scope_of(other)[name].std == pytest.approx(std, rel=1e-5)


def test_where_nothing_undoes_a_scale_the_function_cannot_be_kept():
    with pytest.raises(StockpotError, match="followed by a batch norm of its own"):
        rescale_to_scope(network(norm="group"), (0.0, 0.1), keep="function")
    with pytest.raises(StockpotError, match="needs the network"):
        rescale_to_scope(network().state_dict(), (0.0, 0.1), keep="function")
    with pytest.raises(StockpotError, match="standard deviation of 0"):
        rescale_to_scope({"w.weight": torch.ones(2, 2)}, (0.0, 0.1))


class Twice(nn.Module):
    """What comes out of `first` goes into its norm and past it; what `second` gives does not."""

    def __init__(self):
        super().__init__()
        self.first, self.norm = nn.Conv2d(1, 3, 3), nn.BatchNorm2d(3)
        self.second, self.other = nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4)

    def forward(self, x):
        y = self.first(x)
        return self.other(self.second(self.norm(y) + y))


def test_an_output_that_also_goes_elsewhere_is_left_alone():
    done = rescale_to_scope(Twice(), (0.0, 0.1), keep="function")
    assert (done.changed, done.left) == (("second.weight",), ("first.weight",))


class Unsteady(nn.Module):
    """Its way depends on the data."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(1, 3, 3)

    def forward(self, x):
        return self.conv(x) if x.sum() > 0 else x


def test_a_network_that_cannot_be_traced_is_refused():
    with pytest.raises(StockpotError, match="cannot trace Unsteady"):
        rescale_to_scope(Unsteady(), (0.0, 0.1), keep="function")
