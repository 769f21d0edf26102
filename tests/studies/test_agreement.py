"""Averages of weights against averages of features: identities, and the slow float64 reference."""

import copy
import math

import pytest
import torch
from torch import nn

from stockpot.errors import StockpotError
from stockpot.networks import FAMILY, build
from stockpot.studies.weights_features.agreement import compare_layers

TASK = {"num_classes": 4, "in_channels": 1, "image_size": 8}


def average(networks):
    merged = copy.deepcopy(networks[0])
    states = [one.state_dict() for one in networks]
    merged.load_state_dict(
        {
            name: torch.stack([s[name] for s in states]).mean(0)
            if value.is_floating_point()
            else value
            for name, value in states[0].items()
        }
    )
    return merged


def batches(*sizes, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(size, 1, 8, 8, generator=generator) for size in sizes]


def test_a_linear_network_averages_features_by_averaging_weights():
    members = [build("linear", seed=seed, **TASK) for seed in range(3)]
    (layer,) = compare_layers(members, [average(members)], batches(6, 4)).layers[0]
    assert (layer.layer, layer.kind) == ("head", "weights")
    assert layer.distance < 1e-6
    assert layer.own < 1e-6
    assert layer.cosine == pytest.approx(1)
    assert layer.kept == pytest.approx(1)
    assert layer.spread > 0.5
    assert math.isnan(layer.disagree)


@pytest.mark.parametrize("name", sorted(FAMILY.by_name))
def test_copies_of_one_network_differ_by_exactly_nothing(name):
    one = build(name, **TASK)
    found = compare_layers([one, copy.deepcopy(one)], [copy.deepcopy(one)], batches(5, 3))
    for layer in found.layers[0]:
        assert layer.distance == 0
        assert layer.spread == 0
        assert layer.own == 0 or math.isnan(layer.own)
        assert layer.disagree == 0 or layer.kind != "activation"
        assert layer.variance == pytest.approx(1)
        assert layer.cosine == pytest.approx(1)
    assert torch.equal(found.logits[0], found.logits[2])
    assert torch.equal(found.mean_logits, found.logits[0])


@torch.no_grad()
def test_two_linear_layers_differ_already_by_the_covariance_of_weights_and_inputs():
    """Without any nonlinearity: (W + W')(V + V')/4 is not (W V + W' V')/2."""
    torch.manual_seed(0)
    members = [nn.Sequential(nn.Linear(6, 5), nn.Linear(5, 3)).eval() for _ in range(2)]
    x = torch.randn(40, 6)
    first, second = compare_layers(members, [average(members)], [x]).layers[0]
    assert first.distance < 1e-6
    a, b = (one[1].weight.double() for one in members)
    u, v = (one[0](x).double() for one in members)
    covariance = (u - v) @ (a - b).T / 4
    mean = sum(one.double()(x.double()) for one in copy.deepcopy(members)) / 2
    wanted = float(covariance.norm() / mean.norm())
    assert wanted > 0.1
    assert second.own == pytest.approx(wanted, rel=1e-5)
    assert second.distance == pytest.approx(wanted, rel=1e-5)


@torch.no_grad()
def test_every_measure_is_as_the_float64_reference_has_it():
    torch.manual_seed(1)
    members = [nn.Sequential(nn.Linear(6, 9), nn.ReLU(), nn.Linear(9, 4)).eval() for _ in range(3)]
    merged = average(members)
    x = torch.randn(30, 6)
    found = compare_layers(members, [merged], [x]).layers[0]

    def features(network):
        kept, h = [x.double()], x.double()
        for layer in copy.deepcopy(network).double():
            h = layer(h)
            kept.append(h)
        return kept

    each, ours = [features(one) for one in members], features(merged)
    for place, layer in enumerate(found):
        inputs, outputs = (torch.stack([one[place + k] for one in each]) for k in (0, 1))
        mean, h = outputs.mean(0), ours[place + 1]
        length = mean.norm()
        alone = copy.deepcopy(merged).double()[place](inputs.mean(0))
        assert layer.distance == pytest.approx(float((h - mean).norm() / length), abs=1e-6)
        assert layer.length == pytest.approx(float(h.norm() / length), rel=1e-5)
        assert layer.own == pytest.approx(float((alone - mean).norm() / length), abs=1e-6)
        assert layer.kept == pytest.approx(float(alone.norm() / length), rel=1e-5)
        spread = ((outputs - mean).square().sum() / 3).sqrt() / length
        assert layer.spread == pytest.approx(float(spread), rel=1e-5)
        cosine = (h * mean).sum(1) / h.norm(dim=1) / mean.norm(dim=1)
        assert layer.cosine == pytest.approx(float(cosine.mean()), rel=1e-5)
        variance = h.var(0).sum() / torch.stack([o.var(0).sum() for o in outputs]).mean()
        assert layer.variance == pytest.approx(float(variance), rel=1e-5)
    signs = torch.stack([one[1] > 0 for one in each]).double()
    pairs = [(signs[a] != signs[b]).double().mean() for a, b in ((0, 1), (0, 2), (1, 2))]
    assert found[1].disagree == pytest.approx(float(sum(pairs) / 3))


@torch.no_grad()
def test_opposite_activations_cancel_as_the_paper_says():
    """Pre-activations z and -z: their average is 0, and so is its ReLU; nothing is kept."""
    torch.manual_seed(2)
    one = nn.Sequential(nn.Linear(4, 8, bias=False), nn.ReLU()).eval()
    other = copy.deepcopy(one)
    other[0].weight.data.neg_()
    found = compare_layers([one, other], [average([one, other])], [torch.randn(10, 4)]).layers[0]
    assert found[1].disagree == 1
    assert found[1].kept == pytest.approx(0, abs=1e-6)
    assert found[1].own == pytest.approx(1)


def test_batches_do_not_matter():
    members = [build("cnn", seed=seed, width=4, **TASK) for seed in (0, 1)]
    merged, (images,) = average(members), batches(12)
    whole = compare_layers(members, [merged], [images]).layers[0]
    parts = compare_layers(members, [merged], [images[:5], images[5:]]).layers[0]
    for a, b in zip(whole, parts, strict=True):
        for measure in ("cosine", "distance", "length", "spread", "own", "kept", "disagree"):
            values = getattr(a, measure), getattr(b, measure)
            assert values[0] == pytest.approx(values[1], rel=1e-5, nan_ok=True)


def test_logits_are_those_of_the_networks():
    members = [build("mlp", seed=seed, width=4, **TASK) for seed in (0, 1)]
    merged, two = average(members), batches(3, 2)
    found = compare_layers(members, [merged, members[0]], two)
    with torch.no_grad():
        for logits, network in zip(found.logits, [*members, merged, members[0]], strict=True):
            assert torch.equal(logits, torch.cat([network(one) for one in two]))
    assert torch.allclose(found.mean_logits, (found.logits[0] + found.logits[1]) / 2)


def test_what_cannot_be_compared_is_refused():
    one, other = build("mlp", **TASK), build("mlp", depth=3, **TASK)
    with pytest.raises(StockpotError, match="same layers in the same order"):
        compare_layers([one, other], [one], batches(2))
    with pytest.raises(StockpotError, match="no data"):
        compare_layers([one, one], [one], [])
    with pytest.raises(StockpotError, match="training mode"):
        compare_layers([one, build("mlp", **TASK).train()], [one], batches(2))


def test_a_network_of_transformers_is_compared_too():
    transformers = pytest.importorskip("transformers")
    settings = transformers.BertConfig(
        vocab_size=20,
        hidden_size=8,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
        num_labels=3,
    )

    class Logits(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = transformers.BertForSequenceClassification(settings)

        def forward(self, tokens):
            return self.inner(tokens).logits

    torch.manual_seed(0)
    members = [Logits().eval() for _ in range(2)]
    tokens = [torch.randint(0, 20, (4, 6)) for _ in range(2)]
    found = compare_layers(members, [average(members)], tokens).layers[0]
    names = {one.layer: one for one in found}
    assert names["inner.bert.embeddings.word_embeddings"].own < 1e-6
    assert any(one.kind == "activation" and one.disagree > 0 for one in found)
    assert found[-1].layer == "inner.classifier"
    assert 0 < found[-1].distance < 10
