"""Fitted curves: ends are the networks, bends start on the line, fitting lowers the loss."""

import pytest
import torch

from stockpot.data import Dataset
from stockpot.errors import FieldError
from stockpot.evaluation import nll
from stockpot.studies import fit_curve
from stockpot.studies.connectivity.curves import Curve, Span, along, weights_at
from stockpot.training import Fit, fit

from .test_span import made


def blobs(seed, count=240):
    """Four classes of noisy patterns that a small network learns."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(count) % 4
    patterns = torch.rand(4, 1, 8, 8, generator=torch.Generator().manual_seed(5))
    noise = torch.randn(count, 1, 8, 8, generator=generator)
    return Dataset(
        name="blobs",
        inputs=patterns[labels] + 0.5 * noise,
        labels=labels,
        num_classes=4,
        originals=torch.arange(count),
    )


@pytest.fixture(scope="module")
def ends():
    how = Fit(epochs=8, lr=0.01, seed=1)
    starts = [made("mlp", seed, width=12) for seed in (0, 1)]
    return starts[0], [fit(one, blobs(0), how).state_dict() for one in starts]


@pytest.mark.parametrize("kind", ["bezier", "polygon"])
@pytest.mark.parametrize("count", [3, 4])
def test_coefficients_sum_to_one_and_hold_the_ends(kind, count):
    for t, weights in along(kind, count, 13):
        assert sum(weights) == pytest.approx(1, abs=1e-12)
        assert min(weights) >= 0
        if t in (0, 1):
            assert weights == tuple(float(k == t * (count - 1)) for k in range(count))


def test_a_polygon_of_no_bend_is_the_straight_line():
    assert weights_at("polygon", 2, 0.3) == pytest.approx((0.7, 0.3))
    assert weights_at("bezier", 2, 0.3) == pytest.approx((0.7, 0.3))


@pytest.mark.parametrize("kind", ["bezier", "polygon"])
@pytest.mark.parametrize("bends", [1, 2])
def test_bends_begin_on_the_line(ends, kind, bends):
    network, (one, other) = ends
    points = Curve(network, one, other, kind, bends).control_points()
    line = Span.of(network, [one, other])
    for t, weights in along(kind, len(points), 5):
        mine = Span.of(network, points).state(weights)
        wanted = line.state((1 - t, t))
        assert all(torch.allclose(mine[n], wanted[n], atol=1e-6) for n in mine)


@pytest.mark.parametrize(("kind", "bends"), [("bezier", 1), ("polygon", 2)])
def test_fitting_lowers_the_loss_between_and_leaves_the_ends(ends, kind, bends):
    network, (one, other) = ends
    how = Fit(epochs=15, lr=0.05, optimiser="sgd", weight_decay=0.0)
    points = fit_curve(network, one, other, blobs(0), kind=kind, bends=bends, how=how)
    assert len(points) == bends + 2
    for end, mine in ((one, points[0]), (other, points[-1])):
        assert all(torch.equal(mine[name], tensor) for name, tensor in end.items())
    places = [weights for _, weights in along(kind, len(points), 9)]
    straight = [(1 - k / 8, k / 8) for k in range(9)]
    train = blobs(0)
    curve = [nll(p) for p in Span.of(network, points).run(places, train)]
    line = [nll(p) for p in Span.of(network, [one, other]).run(straight, train)]
    assert curve[0] == pytest.approx(line[0], rel=1e-5)
    assert curve[-1] == pytest.approx(line[-1], rel=1e-5)
    assert max(curve) < max(line) - 0.1


def test_a_curve_is_the_same_each_time_and_networks_with_batch_norm_bend_too():
    network = made("resnet-8", 0, width=4)
    states = [made("resnet-8", seed, width=4).state_dict() for seed in (0, 1)]
    how = Fit(epochs=1, lr=0.05, optimiser="sgd", weight_decay=0.0)
    first, again = (fit_curve(network, *states, blobs(0, 40), how=how) for _ in range(2))
    assert all(torch.equal(first[1][name], again[1][name]) for name in first[1])
    assert any(not torch.equal(first[1][n], (states[0][n] + states[1][n]) / 2) for n in first[1])


def test_a_curve_needs_a_bend(ends):
    network, (one, other) = ends
    with pytest.raises(FieldError, match=r"bends must be in \[1, 16\]; got 0"):
        Curve(network, one, other, bends=0)
