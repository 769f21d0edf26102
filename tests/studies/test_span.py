"""Networks between networks: the fast ways agree with a slow loop, ends and copies are exact."""

import copy

import pytest
import torch
from torch import nn

from stockpot.data import Dataset
from stockpot.errors import StockpotError
from stockpot.evaluation import nll, predict
from stockpot.networks import build
from stockpot.studies.connectivity.curves import Span, stacks

POINTS = [(0.2, 0.3, 0.5), (1.3, -0.4, 0.1), (1 / 3, 1 / 3, 1 / 3), (0, 1, 0)]


def made(name, seed, **keys):
    torch.manual_seed(seed)
    network = build(name, num_classes=4, in_channels=1, image_size=8, seed=seed, **keys)
    for one in network.modules():
        if isinstance(one, nn.BatchNorm2d):
            one.running_mean.uniform_(-0.1, 0.1)
            one.running_var.uniform_(0.5, 2)
    return network.eval()


def samples(count=300):
    made = torch.Generator().manual_seed(7)
    return Dataset(
        name="drawn",
        inputs=torch.rand(count, 1, 8, 8, generator=made),
        labels=torch.randint(4, (count,), generator=made),
        num_classes=4,
        originals=torch.arange(count),
    )


class Twice(nn.Module):
    """A first layer that runs twice, so that it is not linear in its weights alone."""

    def __init__(self):
        super().__init__()
        self.mix, self.head = nn.Linear(64, 64), nn.Linear(64, 4)

    def forward(self, x):
        return self.head(self.mix(self.mix(x.flatten(1)).relu()).relu())


class Reversed(nn.Module):
    """Layers that run in another order than they are registered, dropout and batch norm."""

    def __init__(self):
        super().__init__()
        self.head, self.norm = nn.Linear(8, 4), nn.BatchNorm1d(8)
        self.body, self.drop = nn.Linear(64, 8, bias=False), nn.Dropout(0.5)

    def forward(self, x):
        return self.head(self.drop(self.norm(self.body(x.flatten(1)))).relu())


def kinds():
    for name, keys in (
        ("mlp", {"width": 16}),
        ("cnn", {"width": 4}),
        ("resnet-8", {"width": 4}),
        ("resnet-8", {"width": 4, "norm": "group"}),
        ("vit-tiny", {"width": 12, "depth": 1}),
    ):
        yield name + str(keys), [made(name, seed, **keys) for seed in range(3)]
    for kind in (Twice, Reversed):
        networks = []
        for seed in range(3):
            torch.manual_seed(seed)
            networks.append(kind().eval())
        yield kind.__name__, networks


KINDS = dict(kinds())


@pytest.mark.parametrize("kind", KINDS)
def test_every_way_of_running_agrees_with_rebuilding_network_by_network(kind):
    networks, data = KINDS[kind], samples()
    states = [one.state_dict() for one in networks]
    found = list(Span.of(networks[0], states).run(POINTS, data))
    for point, mine in zip(POINTS, found, strict=True):
        slow = copy.deepcopy(networks[0])
        slow.load_state_dict(
            {
                name: sum(a * state[name].double() for a, state in zip(point, states, strict=True))
                for name in states[0]
            }
        )
        wanted = predict(slow, data)
        torch.testing.assert_close(mine.logits, wanted.logits, rtol=1e-4, atol=1e-5)
        assert nll(mine) == pytest.approx(nll(wanted), rel=1e-5)


def test_which_networks_are_stacked():
    assert {kind: stacks(networks[0]) for kind, networks in KINDS.items()} == {
        kind: kind.startswith(("mlp", "Twice", "Reversed")) for kind in KINDS
    }


@pytest.mark.parametrize("kind", KINDS)
def test_a_corner_is_that_network_to_the_last_bit(kind):
    networks = KINDS[kind]
    states = [one.state_dict() for one in networks]
    span = Span.of(networks[0], states)
    for k, state in enumerate(states):
        point = span.state([float(j == k) for j in range(3)])
        assert all(torch.equal(point[name], one) for name, one in state.items())


@pytest.mark.parametrize("kind", KINDS)
def test_between_copies_there_is_one_network(kind):
    network = KINDS[kind][0]
    span = Span.of(network, [network.state_dict()] * 2)
    outputs = [one.logits for one in span.run([(1, 0), (0.7, 0.3), (0.5, 0.5)], samples(40))]
    assert all(torch.equal(outputs[0], one) for one in outputs)


def test_the_network_it_was_made_of_is_left_as_it_is():
    networks = KINDS["mlp{'width': 16}"]
    before = copy.deepcopy(networks[0].state_dict())
    span = Span.of(networks[0], [one.state_dict() for one in networks])
    list(span.run(POINTS, samples(10)))
    assert span.shell is not networks[0]
    assert all(torch.equal(one, before[name]) for name, one in networks[0].state_dict().items())
    assert "forward" not in vars(span.shell.body[1])


def test_networks_that_do_not_fit_each_other_are_refused():
    one, other = made("mlp", 0, width=16), made("mlp", 0, width=8)
    with pytest.raises(StockpotError, match="no way between them"):
        Span.of(one, [one.state_dict(), other.state_dict()])
