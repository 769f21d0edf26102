import pytest
import torch
from torch import nn

from stockpot.errors import FieldError
from stockpot.evaluation import Learning, nll, predict, soup
from stockpot.evaluation.choices.coefficients import combine, inner_products, learnable_names
from stockpot.evaluation.choices.learned_soup import learn_weights

from ..making import few_digits, fitted, mlp, noisy, pool_of, several_splits


@pytest.fixture(scope="module")
def splits():
    return few_digits()


@pytest.fixture(scope="module")
def good(splits):
    return fitted(mlp(), splits.train, 0)


def test_the_gradient_by_inner_products_is_autograds():
    network = nn.Sequential(nn.Linear(5, 4), nn.Tanh(), nn.Linear(4, 3)).double()
    states = [
        {name: torch.randn_like(one) for name, one in network.state_dict().items()}
        for _ in range(3)
    ]
    names = learnable_names(network)
    inputs, labels = torch.randn(7, 5).double(), torch.arange(7) % 3

    def loss(theta):
        logits = torch.func.functional_call(network, theta, (inputs,))
        return nn.functional.cross_entropy(logits, labels)

    alpha = torch.tensor([0.3, -0.2, 0.5], dtype=torch.float64, requires_grad=True)
    weights = alpha.softmax(0)
    whole = {
        name: sum(w * state[name] for w, state in zip(weights, states, strict=True))
        for name in names
    }
    (expected,) = torch.autograd.grad(loss(whole), alpha)

    weights = alpha.softmax(0)
    theta = combine(names, states, weights.expand(len(names), -1))
    leaves = [one.requires_grad_() for one in theta.values()]
    gradients = torch.autograd.grad(loss(theta), leaves)
    toward = inner_products(gradients, names, states).sum(0)
    (found,) = torch.autograd.grad(weights, alpha, toward)
    torch.testing.assert_close(found, expected)


def test_the_gradient_of_task_vectors_is_autograds_for_each_tensor():
    network = nn.Linear(3, 2).double()
    base, *states = (
        {name: torch.randn_like(one) for name, one in network.state_dict().items()}
        for _ in range(3)
    )
    names = learnable_names(network)
    inputs = torch.randn(5, 3).double()
    lambdas = torch.rand(2, 2, dtype=torch.float64, requires_grad=True)

    def loss(theta):
        return torch.func.functional_call(network, theta, (inputs,)).square().sum()

    whole = {
        name: base[name] + sum(row[k] * (states[k][name] - base[name]) for k in range(2))
        for name, row in zip(names, lambdas, strict=True)
    }
    (expected,) = torch.autograd.grad(loss(whole), lambdas)
    theta = combine(names, states, lambdas, base)
    leaves = [one.requires_grad_() for one in theta.values()]
    gradients = torch.autograd.grad(loss(theta), leaves)
    torch.testing.assert_close(inner_products(gradients, names, states, base), expected)


def test_a_tensor_that_does_not_matter_has_no_say():
    state = {"a": torch.ones(2), "b": torch.ones(2)}
    found = inner_products(
        [None, torch.ones(2)], ["a", "b"], [state, {"a": state["a"], "b": 3 * state["b"]}]
    )
    assert found.tolist() == [[0.0, 0.0], [0.0, 4.0]]


def test_good_ingredients_gain_weight_and_the_soup_gains_likelihood(good, splits):
    networks = [noisy(good, 0.5, 1), good, noisy(good, 0.5, 2)]
    states = [one.state_dict() for one in networks]
    weights = learn_weights(mlp(), states, splits.selection, Learning(epochs=10))
    assert weights[1] > 0.5
    assert sum(weights) == pytest.approx(1)
    pool = pool_of(networks, splits)
    learned, uniform = soup(pool, (0, 1, 2), weights=weights), soup(pool, (0, 1, 2))
    assert nll(predict(learned, splits.test)) < nll(predict(uniform, splits.test))


def test_one_ingredient_and_copies_stay_as_they_are(good, splits):
    state = good.state_dict()
    assert learn_weights(mlp(), [state], splits.selection, Learning(epochs=1)) == (1.0,)
    assert learn_weights(mlp(), [state] * 4, splits.selection, Learning()) == (0.25,) * 4


def test_nothing_is_changed_and_the_seed_repeats(good, splits):
    networks = [good, noisy(good, 0.3, 1)]
    before = {name: one.clone() for name, one in good.state_dict().items()}
    states = [one.state_dict() for one in networks]
    random = torch.get_rng_state()
    found = [learn_weights(mlp(), states, splits.selection, Learning(seed=s)) for s in (3, 3, 4)]
    assert found[0] == found[1] != found[2]
    assert all(torch.equal(before[name], one) for name, one in good.state_dict().items())
    assert torch.equal(random, torch.get_rng_state())


def test_batch_norm_tied_weights_and_several_labels():
    class Tied(nn.Module):
        def __init__(self):
            super().__init__()
            self.norm = nn.BatchNorm2d(1)
            self.one = nn.Linear(64, 4)
            self.two = self.one

        def forward(self, images):
            flat = self.norm(images).flatten(1)
            return self.one(flat) + self.two(flat)

    network = Tied().eval()
    states = [
        {
            name: one.clone() + (0.1 * k if one.is_floating_point() else 0)
            for name, one in network.state_dict().items()
        }
        for k in range(2)
    ]
    assert "two.weight" not in learnable_names(network)
    weights = learn_weights(network, states, several_splits().selection, Learning(epochs=1))
    assert sum(weights) == pytest.approx(1)


def test_bounds():
    with pytest.raises(FieldError, match="lr"):
        Learning(lr=0)
