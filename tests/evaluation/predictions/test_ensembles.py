import pytest
import torch
from torch import nn

from stockpot.errors import StockpotError
from stockpot.evaluation import (
    accuracy,
    average_head,
    features_ensemble,
    fit_temperature,
    logits_ensemble,
    nll,
    probabilities_ensemble,
    temperature_ensemble,
)
from stockpot.evaluation.predictions.ensembles import weighted_logits

from ..making import said

INF = float("inf")


def members(count=3, several=False, seed=0):
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(4, (50,), generator=generator)
    if several:
        labels = torch.rand(50, 4, generator=generator) < 0.5
    return [
        said(
            3 * torch.randn(50, 4, generator=generator),
            labels,
            features=torch.randn(50, 6, generator=generator),
        )
        for _ in range(count)
    ]


@pytest.mark.parametrize("count", [1, 2, 3, 5, 7, 10])
def test_copies_give_the_member_back_to_the_last_bit(count):
    one = members(1)[0]
    assert torch.equal(logits_ensemble([one] * count).logits, one.logits)
    assert torch.equal(temperature_ensemble([one] * count, [1.0] * count).logits, one.logits)
    assert torch.equal(weighted_logits([one] * count, {0: 3, count - 1: 2}).logits, one.logits)


@pytest.mark.parametrize("several", [False, True])
def test_scores_of_mean_probabilities_are_the_mean_probabilities(several):
    three = members(several=several)
    spread = torch.sigmoid if several else lambda logits: logits.softmax(1)
    mean = torch.stack([spread(one.logits) for one in three]).mean(0)
    torch.testing.assert_close(spread(probabilities_ensemble(three).logits), mean)
    assert probabilities_ensemble(three).forwards == 3


@pytest.mark.parametrize("several", [False, True])
def test_a_member_that_is_not_finite_spoils_every_ensemble(several):
    good, other = members(2, several)
    for bad in (INF, -INF, float("nan")):
        logits, features = other.logits.clone(), other.features.clone()
        logits[3, 1], features[3, 1] = bad, bad
        broken = said(logits, other.labels, features=features)
        head = nn.Linear(6, 4)
        for ensemble in (
            logits_ensemble([good, broken]),
            probabilities_ensemble([good, broken]),
            temperature_ensemble([good, broken], [1.0, 2.0]),
            features_ensemble([good, broken], head),
        ):
            assert ensemble.non_finite == 1
            assert ensemble.correct()[3] == 0


def test_certain_members_stay_finite():
    labels = [0, 1]
    one = said([[3e38, -3e38], [3e38, -3e38]], labels)
    other = said([[1e38, -1e38], [-1e38, 1e38]], labels)
    assert probabilities_ensemble([one, other]).non_finite == 0
    assert accuracy(probabilities_ensemble([one, one])) == 0.5


def test_features_pass_through_the_head_once():
    three = members()
    heads = [nn.Linear(6, 4) for _ in three]
    mean = torch.stack([one.features for one in three]).mean(0)
    head = average_head(heads)
    torch.testing.assert_close(
        head.weight, torch.stack([one.weight for one in heads]).mean(0).detach(), check_stride=False
    )
    torch.testing.assert_close(features_ensemble(three, head).logits, head(mean).detach())
    assert features_ensemble(three, heads[0]).features is None
    with pytest.raises(StockpotError, match="features"):
        features_ensemble([said(three[0].logits, three[0].labels)], head)


@pytest.mark.parametrize("several", [False, True])
@pytest.mark.parametrize("scale", [0.2, 1.0, 30.0])
def test_the_temperature_undoes_a_scale(several, scale):
    generator = torch.Generator().manual_seed(1)
    logits = 2 * torch.randn(4000, 3, generator=generator)
    if several:
        labels = torch.rand(logits.shape, generator=generator) < logits.sigmoid()
    else:
        labels = torch.multinomial(logits.softmax(1), 1, generator=generator).flatten()
    found = fit_temperature(said(scale * logits, labels))
    assert found == pytest.approx(scale, rel=0.1)
    assert nll(said(scale * logits / found, labels)) <= nll(said(scale * logits, labels)) + 1e-6


def test_a_temperature_needs_something_finite_and_has_bounds():
    assert fit_temperature(said([[float("nan"), 0.0]], [0])) == 1
    assert 1e-3 <= fit_temperature(said([[1.0, 0.0], [0.0, 1.0]], [0, 1])) < 0.1


def test_a_loud_member_does_not_decide_alone_once_temperatures_are_fitted():
    generator = torch.Generator().manual_seed(2)
    logits = 2 * torch.randn(500, 3, generator=generator)
    labels = torch.multinomial(logits.softmax(1), 1, generator=generator).flatten()
    good, noise = said(logits, labels), said(100 * torch.randn(500, 3, generator=generator), labels)
    scales = [fit_temperature(one) for one in (good, noise)]
    plain = accuracy(logits_ensemble([good, noise]))
    assert accuracy(temperature_ensemble([good, noise], scales)) > plain + 0.1


def test_weights_are_counts():
    three = members()
    mixed = weighted_logits(three, {2: 2, 0: 1})
    expected = (2 * three[2].logits + three[0].logits) / 3
    torch.testing.assert_close(mixed.logits, expected)
    assert mixed.forwards == 2
