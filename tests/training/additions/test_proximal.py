import numpy as np
import pytest
import torch
from torch import nn

from stockpot.errors import FieldError, StockpotError
from stockpot.training import Layers, ProximalTerm


def network(*, seed=0):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Conv2d(1, 3, 3), nn.BatchNorm2d(3), nn.Flatten(), nn.Linear(3, 2))


def test_term_and_gradient_are_the_formulas():
    one, anchor = network(), network(seed=1)
    term = ProximalTerm(anchor, weight=0.7)(one)
    term.backward()
    there = dict(anchor.named_parameters())
    apart = {n: (p - there[n]).detach().double().numpy() for n, p in one.named_parameters()}
    squares = sum((each**2).sum() for each in apart.values())
    assert term.item() == pytest.approx(0.35 * squares, rel=1e-6)
    for name, parameter in one.named_parameters():
        np.testing.assert_allclose(parameter.grad, 0.7 * apart[name], rtol=1e-5, atol=1e-7)


def test_the_anchor_is_what_it_was_when_the_term_was_made():
    one = network()
    term = ProximalTerm(one, weight=1.0)
    assert term(one).item() == 0
    with torch.no_grad():
        one[3].bias.add_(2.0)
    assert term(one).item() == pytest.approx(0.5 * 2 * 4)


def test_it_is_about_the_layers_that_are_chosen_and_trained():
    one, anchor = network(), network(seed=1)
    one[3].weight.requires_grad_(False)
    ProximalTerm(anchor.state_dict(), layers=Layers())(one).backward()
    with_gradient = {name for name, p in one.named_parameters() if p.grad is not None}
    assert with_gradient == {"0.weight"}


def test_half_precision_weights_are_compared_with_a_float32_anchor():
    anchor = network()
    one = network(seed=1).bfloat16()
    term = ProximalTerm(anchor, weight=1.0)(one)
    term.backward()
    assert term.dtype == torch.float32
    assert all(p.grad.dtype == torch.bfloat16 for p in one.parameters())


def test_an_anchor_that_does_not_fit_is_refused():
    with pytest.raises(StockpotError, match=r"the anchor has no '0\.weight'"):
        ProximalTerm({"1.weight": torch.zeros(2)})(network())
    other = dict(network().state_dict()) | {"3.weight": torch.zeros(2, 4)}
    with pytest.raises(StockpotError, match=r"'3\.weight' is \(2, 3\); the anchor's is \(2, 4\)"):
        ProximalTerm(other)(network())
    with pytest.raises(FieldError, match="weight must be in"):
        ProximalTerm(network(), weight=float("nan"))
