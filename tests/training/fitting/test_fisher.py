"""Fisher information against the definition, one sample and one class at a time."""

import pytest
import torch
from torch import nn

import stockpot as sp
from stockpot.data import Dataset
from stockpot.errors import StockpotError
from stockpot.methods import Average, Fisher
from stockpot.networks import build
from stockpot.training import fisher


def data(count=6, classes=3, several=False):
    drawn = torch.Generator().manual_seed(1)
    labels = torch.arange(count) % classes
    return Dataset(
        "d",
        torch.rand(count, 1, 8, 8, generator=drawn),
        nn.functional.one_hot(labels, classes).bool() if several else labels,
        classes,
        torch.arange(count),
    )


def by_definition(network, samples, several):
    network = network.double()
    total = {n: torch.zeros_like(one) for n, one in network.named_parameters()}
    for image in samples.images.double():
        logits = network(image[None])[0]
        outcomes = (
            [(z.sigmoid() * (1 - z.sigmoid()), z) for z in logits]
            if several
            else [(p.exp(), p) for p in logits.log_softmax(0)]
        )
        for weight, score in outcomes:
            parts = torch.autograd.grad(score, list(network.parameters()), retain_graph=True)
            for name, part in zip(total, parts, strict=True):
                total[name] += weight.detach() * part**2 / len(samples)
    return total


@pytest.mark.parametrize("several", [False, True])
@pytest.mark.parametrize("name", ["mlp", "cnn", "resnet-8"])
def test_it_is_the_expectation_over_the_network_s_own_labels(name, several, monkeypatch):
    torch.manual_seed(0)
    network = build(name, num_classes=3, in_channels=1, image_size=8, width=4).eval()
    before = {n: one.clone() for n, one in network.state_dict().items()}
    samples = data(several=several)
    found = fisher(network, samples)
    assert all(torch.equal(before[n], one) for n, one in network.state_dict().items())
    monkeypatch.setattr("stockpot.training.fitting.fisher._ROOM", 1)  # a batch for each sample
    assert all(torch.allclose(found[n], one) for n, one in fisher(network, samples).items())
    expected = by_definition(network, samples, several)
    assert list(found) == list(expected)
    scale = max(float(one.max()) for one in expected.values())
    for key, one in found.items():  # a bias before a norm has none
        torch.testing.assert_close(one.double(), expected[key], rtol=1e-4, atol=1e-6 * scale)


def test_some_samples_are_drawn_and_the_draw_repeats():
    network = build("mlp", num_classes=3, in_channels=1, image_size=8, width=4).eval()
    first, again, other = (fisher(network, data(40), examples=5, seed=s) for s in (1, 1, 2))
    assert all(torch.equal(first[n], again[n]) for n in first)
    assert any(not torch.equal(first[n], other[n]) for n in first)


def test_what_has_no_information_is_refused():
    network = build("mlp", num_classes=3, in_channels=1, image_size=8, width=4)
    with pytest.raises(StockpotError, match="training mode"):
        fisher(network.train(), data())
    with pytest.raises(StockpotError, match="'d' is empty"):
        fisher(network.eval(), data(0))


def test_equal_information_is_the_average():
    models = [{"w": torch.randn(50)} for _ in range(3)]
    given = [{"w": torch.rand(50).add(0.1)}] * 3
    merged = sp.merge(models, Fisher(), weights=[1, 2, 3], statistics=given)["w"]
    torch.testing.assert_close(merged, sp.merge(models, Average(), weights=[1, 2, 3])["w"])
    none = sp.merge(models, Fisher(), statistics=[{"w": torch.zeros(50)}] * 3)["w"]
    torch.testing.assert_close(none, sp.merge(models, Average())["w"])


def test_what_only_one_model_s_data_determine_is_that_model_s():
    models = [{"w": torch.randn(50)} for _ in range(2)]
    given = [{"w": torch.ones(50) * 1e4}, {"w": torch.zeros(50)}]
    merged = sp.merge(models, Fisher(floor=1e-12), statistics=given)["w"]
    torch.testing.assert_close(merged, models[0]["w"])
