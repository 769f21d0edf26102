"""Averages along the way against what NumPy makes of the same weights, and their schedules."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from stockpot.errors import FieldError, StockpotError
from stockpot.training import Ema, Fge, Fit, Lawa, Swa, WeightAverage
from stockpot.training.additions.averaging import moments
from stockpot.training.fitting.optimisers import optimiser_of, schedule_of


def run(how, values, epochs):
    """The average of a network whose one weight takes these values step by step."""
    network = nn.Linear(1, 1, bias=False).double()
    average = WeightAverage(network, how, steps=len(values), epochs=epochs)
    for step, value in enumerate(values, 1):
        nn.init.constant_(network.weight, value)
        average.after_step(step)
    return average.put_into(network).weight.item()


values = st.lists(st.floats(-2, 2), min_size=4, max_size=24)


@given(values, st.floats(0.1, 0.99), st.sampled_from(["ramp", "none"]))
def test_ema_is_the_recursion(values, decay, warmup):
    mean = values[0]
    for n, value in enumerate(values[1:], 1):
        d = min(decay, (1 + n) / (10 + n)) if warmup == "ramp" else decay
        mean = d * mean + (1 - d) * value
    found = run(Ema(decay=decay, warmup=warmup), values, 1)
    assert found == pytest.approx(mean, rel=1e-9, abs=1e-12)


@given(values, st.sampled_from([1, 2, 4]))
def test_swa_and_lawa_are_plain_means(values, epochs):
    values = values[: len(values) // 4 * 4]
    ends = [len(values) * at // epochs for at in range(1, epochs + 1)]
    late = [values[e - 1] for e in ends if e > len(values) / 2]
    found = run(Swa(start=0.5), values, epochs)
    assert found == pytest.approx(np.mean(late), rel=1e-9, abs=1e-12)
    window = [values[e - 1] for e in ends][-2:]
    found = run(Lawa(last=2), values, epochs)
    assert found == pytest.approx(np.mean(window), rel=1e-9, abs=1e-12)
    every = run(Lawa(last=3, every=1), values, epochs)
    assert every == pytest.approx(np.mean(values[-3:]), rel=1e-9, abs=1e-12)


def test_steps_at_which_weights_are_taken():
    assert list(moments(Swa(start=0.5, every=3), 20, 4)) == [13, 16, 19]
    assert list(moments(Lawa(every=8), 20, 4)) == [8, 16]
    assert list(moments(Lawa(), 10, 3)) == [4, 7, 10]
    assert list(moments(Fge(start=0.5, cycle=2), 80, 8)) == [50, 70]
    assert len(moments(Ema(), 20, 4)) == 20
    for how in (Swa(start=0.9, every=3), Lawa(every=21), Fge(start=0.9, cycle=4)):
        with pytest.raises(StockpotError, match="takes no weights in 20 steps"):
            moments(how, 20, 4)


def test_buffers_are_the_newest_and_counters_stay_whole():
    network = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2)).train()
    for how in (Ema(), Swa(start=0.0), Lawa(last=2)):
        average = WeightAverage(network, how, steps=2, epochs=2)
        for step in (1, 2):
            network(torch.rand(4, 2))
            average.after_step(step)
        expected = {name: one.clone() for name, one in network.named_buffers()}
        average.put_into(network)
        assert all(torch.equal(expected[name], one) for name, one in network.named_buffers())
        assert network[1].num_batches_tracked.dtype == torch.int64


def test_an_average_of_nothing_is_refused():
    average = WeightAverage(nn.Linear(1, 1), Swa(), steps=8, epochs=8)
    with pytest.raises(StockpotError, match="no weights were taken yet"):
        average.put_into(nn.Linear(1, 1))
    with pytest.raises(FieldError, match="decay must be in"):
        Ema(decay=1.0)


def rates(averaging, **keys):
    how = Fit(epochs=8, lr=0.1, optimiser="sgd", schedule="constant", **keys)
    optimiser = optimiser_of(nn.Linear(1, 1).parameters(), how)
    schedule = schedule_of(optimiser, how, 80, averaging)
    found = []
    for _ in range(80):
        found.append(optimiser.param_groups[0]["lr"])
        optimiser.step()
        schedule.step()
    return np.array(found)


def test_fge_goes_down_and_up_and_is_lowest_where_weights_are_taken():
    how = Fge(start=0.5, cycle=2, lr=0.001)
    found = rates(how, warmup=0.1)
    np.testing.assert_allclose(found[8:41], 0.1)
    lowest = [50, 70]  # the rate after so many steps, which is what the next one is taken at
    np.testing.assert_allclose(found[lowest], 0.001)
    np.testing.assert_allclose(found[[60]], 0.1)
    np.testing.assert_allclose(found[45], (0.1 + 0.001) / 2)
    assert list(moments(how, 80, 8)) == lowest


def test_swa_goes_to_a_rate_of_its_own_within_an_epoch():
    found = rates(Swa(start=0.5, lr=0.02))
    np.testing.assert_allclose(found[:40], 0.1)
    assert np.all(np.diff(found[40:51]) <= 1e-12)
    np.testing.assert_allclose(found[51:], 0.02)
    np.testing.assert_allclose(rates(Swa(start=0.5)), 0.1)


def test_cycles_cannot_begin_during_warm_up():
    with pytest.raises(StockpotError, match="before the warm-up of 40 steps is over"):
        rates(Fge(start=0.5), warmup=0.5)
