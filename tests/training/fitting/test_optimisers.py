import pytest
import torch
from torch import nn

from stockpot.errors import FieldError
from stockpot.training import Fit
from stockpot.training.fitting.optimisers import optimiser_of, schedule_of


def rates(steps=20, **how):
    """The learning rate of each step."""
    parameter = nn.Parameter(torch.zeros(1))
    fitted = Fit(lr=1.0, **how)
    optimiser = optimiser_of([parameter], fitted)
    schedule = schedule_of(optimiser, fitted, steps)
    found = []
    for _ in range(steps):
        found.append(optimiser.param_groups[0]["lr"])
        optimiser.step()
        schedule.step()
    return found


def test_constant_and_cosine():
    assert rates(schedule="constant") == [1.0] * 20
    cosine = rates(schedule="cosine")
    assert cosine[0] == 1
    assert cosine[10] == pytest.approx(0.5)
    assert 0 < cosine[-1] < 0.01
    assert cosine == sorted(cosine, reverse=True)


def test_steps_fall_at_their_milestones():
    found = rates(schedule="step", milestones=(0.5, 0.75), gamma=0.5)
    assert found == [1.0] * 10 + [0.5] * 5 + [0.25] * 5


@pytest.mark.parametrize("schedule", ["constant", "cosine", "step"])
def test_a_warm_up_rises_in_equal_steps_to_lr_and_the_rest_follows(schedule):
    found = rates(schedule=schedule, warmup=0.2)
    assert found[:5] == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0])
    assert max(found) == pytest.approx(1.0)
    if schedule == "step":
        assert found[9:11] == pytest.approx([1.0, 0.1])
    if schedule == "cosine":
        assert found[12] == pytest.approx(0.5)


def test_one_cycle_rises_and_falls():
    found = rates(schedule="one-cycle", optimiser="sgd")
    peak = found.index(max(found))
    assert found[peak] == pytest.approx(1.0, abs=0.02)
    assert 0 < peak < 10
    assert found[-1] < found[0] < 0.1


@pytest.mark.parametrize("schedule", ["constant", "cosine", "step", "one-cycle"])
def test_a_single_step_is_possible(schedule):
    assert len(rates(steps=1, schedule=schedule)) == 1


def test_momentum_is_the_users_throughout_one_cycle():
    how = Fit(optimiser="sgd", momentum=0.5, schedule="one-cycle")
    optimiser = optimiser_of([nn.Parameter(torch.zeros(1))], how)
    schedule_of(optimiser, how, 10)
    assert optimiser.param_groups[0]["momentum"] == 0.5


def test_one_cycle_takes_no_warm_up_of_its_own():
    with pytest.raises(FieldError, match="rises by itself"):
        Fit(schedule="one-cycle", warmup=0.1)
