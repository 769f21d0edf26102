import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from stockpot.errors import FieldError, StockpotError
from stockpot.networks import build
from stockpot.training import InModelMerge, Layers, kernel_report

from .stand_ins import DenseNet, ResNet, Vgg


def convolutions(*, seed=0, kernels=6):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Conv2d(2, kernels, 3), nn.ReLU(), nn.Conv2d(kernels, kernels, 3))


def after(network, merge, step=0):
    before = {name: one.detach().clone() for name, one in network.named_parameters()}
    done = merge(network, step)
    return before, done


def is_pulled(before, now, merge):
    """For each kernel, whether it is what some other kernel that is near enough makes of it."""
    old = before.double().flatten(1).numpy()
    found = []
    for row, kernel in enumerate(now.detach().double().flatten(1).numpy()):
        choices = []
        for other in range(len(old)):
            cosine = old[row] @ old[other] / np.linalg.norm(old[row]) / np.linalg.norm(old[other])
            if other != row and cosine > merge.tau:
                new = merge.alpha * old[row] + (1 - merge.alpha) * old[other]
                if merge.norm == "kept":
                    new *= np.linalg.norm(old[row]) / np.linalg.norm(new)
                choices.append(new)
        found.append(any(np.allclose(kernel, one, rtol=1e-5, atol=1e-7) for one in choices))
    return found


@settings(deadline=None)
@given(
    st.floats(-1, 0.5), st.floats(0.1, 0.9), st.sampled_from(["shrinks", "kept"]), st.integers(0, 9)
)
def test_each_kernel_is_what_it_was_or_is_pulled_by_one_that_is_near(tau, alpha, norm, seed):
    network = convolutions(seed=seed)
    merge = InModelMerge(p=0.7, tau=tau, alpha=alpha, skip_first=1, norm=norm, seed=seed)
    before, done = after(network, merge)
    now = network[2].weight
    kept = [torch.equal(a, b) for a, b in zip(before["2.weight"], now, strict=True)]
    pulled = is_pulled(before["2.weight"], now, merge)
    assert all(a or b for a, b in zip(kept, pulled, strict=True))
    assert int(done.kernels) == 6 - sum(kept)
    for name in ("0.weight", "0.bias", "2.bias"):
        assert torch.equal(before[name], dict(network.named_parameters())[name])


def test_all_kernels_draw_when_p_is_1_and_none_when_it_is_0():
    network = convolutions(kernels=64)
    _, done = after(network, InModelMerge(p=1.0, tau=-1.0, skip_first=0))
    assert (done.tensors, int(done.kernels)) == (2, 128)
    before, done = after(network, InModelMerge(p=0.0, tau=-1.0, skip_first=0))
    assert int(done.kernels) == 0
    assert torch.equal(before["0.weight"], network[0].weight)


def test_about_a_share_p_draws_and_every_other_kernel_is_drawn():
    network, counts, partners = nn.Conv1d(1, 4, 8), 0, set()
    merge = InModelMerge(p=0.3, tau=-1.0, alpha=0.0, skip_first=0)
    with torch.no_grad():
        network.weight.copy_(torch.eye(4, 8)[:, None])
    start = network.weight.detach().clone()
    for step in range(400):
        with torch.no_grad():
            network.weight.copy_(start)
        counts += int(merge(network, step).kernels)
        kernels = network.weight.detach().flatten(1).argmax(1).tolist()
        partners |= {(row, other) for row, other in enumerate(kernels) if row != other}
    assert counts / 1600 == pytest.approx(0.3, abs=0.04)
    assert len(partners) == 12


def test_a_mean_is_shorter_and_its_length_can_be_kept():
    for norm, same in (("shrinks", False), ("kept", True)):
        network = convolutions(kernels=32)
        before, _ = after(network, InModelMerge(p=1.0, tau=-1.0, skip_first=0, norm=norm))
        old, new = (
            w.detach().flatten(1).norm(dim=1) for w in (before["2.weight"], network[2].weight)
        )
        assert torch.allclose(old, new, rtol=1e-5) == same
        assert new.mean() <= old.mean() * 1.00001


def test_a_network_in_evaluation_mode_is_never_changed_and_not_every_step_is_a_turn():
    network, merge = convolutions(), InModelMerge(p=1.0, tau=-1.0, skip_first=0, every=3)
    touched = [merge(network, step).tensors for step in range(7)]
    assert touched == [2, 0, 0, 2, 0, 0, 2]
    before, done = after(network.eval(), merge)
    assert done.tensors == 0
    assert all(torch.equal(before[name], one) for name, one in network.named_parameters())


def test_draws_are_of_the_seed_and_the_step():
    def weights(seed, step):
        network = convolutions(kernels=32)
        InModelMerge(tau=-1.0, skip_first=0, seed=seed)(network, step)
        return network[2].weight

    assert torch.equal(weights(0, 3), weights(0, 3))
    assert not torch.equal(weights(0, 3), weights(0, 4))
    assert not torch.equal(weights(0, 3), weights(1, 3))
    network, state = convolutions(), torch.get_rng_state()
    InModelMerge(skip_first=0)(network, 0)
    assert torch.equal(state, torch.get_rng_state())


TREES = [(Vgg, 16, 2), (ResNet, 53, 1), (DenseNet, 120, 1)]


@pytest.mark.parametrize(("make", "convs", "linears"), TREES)
def test_every_layer_of_known_families_is_visited_in_the_order_of_the_forward_pass(
    make, convs, linears
):
    torch.manual_seed(0)
    network, called = make(), []
    merge = InModelMerge(p=1.0, tau=-1.0)
    names = {one: name for name, one in network.named_modules()}
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            module.register_forward_hook(lambda one, *_: called.append(f"{names[one]}.weight"))
    network(torch.rand(2, 3, 32, 32))
    assert merge.names(network) == tuple(called[10:convs])
    before, done = after(network, merge)
    assert done.tensors == convs - 10
    changed = [n for n, one in network.named_parameters() if not torch.equal(one, before[n])]
    assert changed == called[10:convs]
    assert InModelMerge(layers=Layers()).names(network) == tuple(called[10:])
    assert len(called) == convs + linears


@pytest.mark.parametrize("make", [Vgg, ResNet, DenseNet])
def test_layers_that_are_skipped_are_left_alone(make):
    network = make()
    with pytest.raises(StockpotError, match="lower skip_first"):
        InModelMerge(skip_first=1000)(network, 0)


def test_linear_layers_and_transposed_convolutions_have_kernels_too():
    torch.manual_seed(0)
    network = nn.Sequential(nn.ConvTranspose2d(3, 8, 2), nn.Linear(5, 7))
    before, done = after(network, InModelMerge(p=1.0, tau=-1.0, skip_first=0, layers=Layers()))
    assert int(done.kernels) == 8 + 7
    turned = before["0.weight"].transpose(0, 1)
    merge = InModelMerge(p=1.0, tau=-1.0, skip_first=0)
    assert all(is_pulled(turned, network[0].weight.transpose(0, 1), merge))


def test_fields_are_checked():
    with pytest.raises(FieldError, match="p must be in"):
        InModelMerge(p=1.5)
    with pytest.raises(FieldError, match="norm must be one of"):
        InModelMerge(norm="free")


def test_the_report_finds_duplicates_and_rank():
    network = nn.Linear(6, 4, bias=False)
    with torch.no_grad():
        network.weight.copy_(torch.eye(4, 6))
    (facts,) = kernel_report(network)
    assert (facts.count, facts.duplicates) == (4, 0)
    assert facts.effective_rank == pytest.approx(4)
    with torch.no_grad():
        network.weight[3] = 2 * network.weight[0]
    (facts,) = kernel_report(network)
    assert facts.duplicates == 1
    singular = np.linalg.svd(network.weight.detach().double().numpy(), compute_uv=False)
    shares = singular[singular > 0] / singular.sum()
    assert facts.effective_rank == pytest.approx(np.exp(-(shares * np.log(shares)).sum()))
    with torch.no_grad():
        network.weight.zero_()
    assert kernel_report(network)[0].effective_rank == 0


def test_merging_makes_kernels_more_alike():
    network = build("cnn", num_classes=3, in_channels=1, image_size=8).train()
    merge = InModelMerge(p=0.5, tau=-1.0, skip_first=1)
    (name, *_) = merge.names(network)
    ranks = [{one.name: one.effective_rank for one in kernel_report(network)}[name]]
    for step in range(60):
        merge(network, step)
    ranks.append({one.name: one.effective_rank for one in kernel_report(network)}[name])
    assert ranks[1] < ranks[0] / 2
