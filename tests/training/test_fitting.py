import pytest
import torch
from torch import nn

from stockpot.data import Dataset, digits
from stockpot.errors import FieldError, StockpotError
from stockpot.evaluation import accuracy, predict
from stockpot.networks import build
from stockpot.training import Fit, fit


@pytest.fixture(scope="module")
def data() -> Dataset:
    return digits().take(torch.arange(300))


@pytest.fixture
def start():
    return build("mlp", num_classes=10, in_channels=1, image_size=8, width=32)


def weights(network):
    return torch.cat([p.detach().flatten() for p in network.parameters()])


@pytest.mark.parametrize(("optimiser", "lr"), [("adamw", 0.01), ("sgd", 0.1)])
@pytest.mark.parametrize("schedule", ["cosine", "constant"])
def test_fitting_learns(data, start, optimiser, lr, schedule):
    how = Fit(epochs=6, lr=lr, batch_size=32, optimiser=optimiser, schedule=schedule)
    assert accuracy(predict(start, data)) < 0.3
    assert accuracy(predict(fit(start, data, how), data)) > 0.8


def test_a_fit_repeats_bitwise_and_the_seed_matters(data, start):
    first, again = (weights(fit(start, data, Fit(epochs=1, seed=3))) for _ in range(2))
    assert torch.equal(first, again)
    assert not torch.equal(first, weights(fit(start, data, Fit(epochs=1, seed=4))))


def test_dropout_is_seeded_too(data, start):
    noisy = nn.Sequential(nn.Flatten(), nn.Dropout(0.5), nn.Linear(64, 10))
    first, again = (weights(fit(noisy, data, Fit(epochs=1))) for _ in range(2))
    assert torch.equal(first, again)


def test_the_start_and_the_random_state_are_left_alone(data, start):
    before, state = weights(start).clone(), torch.get_rng_state()
    fitted = fit(start, data, Fit(epochs=1))
    assert torch.equal(weights(start), before)
    assert not torch.equal(weights(fitted), before)
    assert not any(module.training for module in (*start.modules(), *fitted.modules()))
    assert torch.equal(torch.get_rng_state(), state)


def test_cosine_starts_at_lr_and_then_falls(data, start):
    def fitted(epochs, schedule):
        how = Fit(epochs=epochs, lr=0.1, batch_size=300, optimiser="sgd", schedule=schedule)
        return weights(fit(start, data, how))

    assert torch.equal(fitted(1, "cosine"), fitted(1, "constant"))
    moved = [(fitted(2, schedule) - weights(start)).norm() for schedule in ("cosine", "constant")]
    assert moved[0] < moved[1]


def test_progress_is_told_after_each_epoch(data, start):
    told = []
    fit(start, data, Fit(epochs=4), progress=told.append)
    assert told == [0.25, 0.5, 0.75, 1.0]


def test_a_diverging_loss_is_an_error(data, start):
    with pytest.raises(StockpotError, match=r"epoch \d of 20: lower lr"):
        fit(start, data, Fit(epochs=20, lr=1e30, optimiser="sgd"))


def test_no_data_is_an_error(data, start):
    with pytest.raises(StockpotError, match="no samples"):
        fit(start, data.take(torch.tensor([], dtype=torch.int64)), Fit())


@pytest.mark.parametrize("field", [{"epochs": 0}, {"lr": 0.0}, {"optimiser": "lion"}])
def test_bad_fields_are_refused_by_name(field):
    with pytest.raises(FieldError, match=next(iter(field))):
        Fit(**field)
