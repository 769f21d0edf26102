from dataclasses import replace

import pytest
import torch
from torch import nn

from stockpot.data import Dataset, digits
from stockpot.errors import CheckpointError, FieldError, OutputError, StockpotError
from stockpot.evaluation import accuracy, predict
from stockpot.networks import build
from stockpot.training import Augment, Fit, Save, fit
from stockpot.training.fitting.loop import loss_of


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
    fit(start, data, Fit(epochs=4), progress=lambda _, part: told.append(part))
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


class Stopped(Exception):
    """Stands for a kill between two epochs."""


@pytest.mark.parametrize("schedule", ["cosine", "constant", "step", "one-cycle"])
@pytest.mark.parametrize("optimiser", ["adamw", "sgd", "adam"])
def test_a_fit_that_was_broken_off_goes_on_to_the_same_bits(
    data, optimiser, schedule, tmp_path, monkeypatch
):
    noisy = nn.Sequential(nn.Flatten(), nn.BatchNorm1d(64), nn.Dropout(0.5), nn.Linear(64, 10))
    how = Fit(
        epochs=4,
        lr=0.01,
        batch_size=50,
        optimiser=optimiser,
        schedule=schedule,
        warmup=0.0 if schedule == "one-cycle" else 0.4,
    )
    augment = Augment(shift=0.2, noise=0.1)
    whole = fit(noisy, data, how, augment=augment)
    save = Save(tmp_path / "epoch.pt", {"a": 1})

    def stop(_, part):
        if part == 0.5:
            raise Stopped

    with pytest.raises(Stopped):
        fit(noisy, data, how, augment=augment, save=save, progress=stop)
    seen, batch = [], Dataset.batch
    monkeypatch.setattr(
        Dataset, "batch", lambda self, index: (seen.append(1), batch(self, index))[1]
    )
    state = fit(noisy, data, how, augment=augment, save=save).state_dict()
    assert len(seen) == 2 * 6
    assert all(torch.equal(state[name], one) for name, one in whole.state_dict().items())
    assert not list(tmp_path.glob("*.partial"))


def test_an_epoch_of_another_fit_is_refused_and_a_damaged_one_too(data, start, tmp_path):
    path = tmp_path / "epoch.pt"
    fit(start, data, Fit(epochs=1), save=Save(path, {"how": {"lr": 1}}))
    with pytest.raises(OutputError, match=r"epoch\.pt is an epoch .* how\.lr was 1 and is 2"):
        fit(start, data, Fit(epochs=1), save=Save(path, {"how": {"lr": 2}}))
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(CheckpointError, match="cannot be read as a saved epoch"):
        fit(start, data, Fit(epochs=1), save=Save(path, {"how": {"lr": 1}}))


def test_the_order_of_the_data_has_a_seed_of_its_own(data, start):
    one = weights(fit(start, data, Fit(epochs=1, seed=1, order=5)))
    assert torch.equal(one, weights(fit(start, data, Fit(epochs=1, seed=2, order=5))))
    assert not torch.equal(one, weights(fit(start, data, Fit(epochs=1, seed=1, order=6))))


def test_clipping_bounds_the_step(data, start):
    def moved(clip):
        how = Fit(
            epochs=1,
            lr=1.0,
            batch_size=300,
            optimiser="sgd",
            momentum=0.0,
            weight_decay=0.0,
            clip=clip,
        )
        return float((weights(fit(start, data, how)) - weights(start)).norm())

    assert moved(1e-3) == pytest.approx(1e-3, rel=1e-3)
    assert moved(0.0) > 0.1


def test_smoothing_spreads_the_target():
    logits, label = torch.tensor([[3.0, 0.0]]), torch.tensor([0])
    target = torch.tensor([[0.95, 0.05]])
    expected = -(target * logits.log_softmax(1)).sum()
    torch.testing.assert_close(loss_of(logits, label, 0.1), expected)
    several = torch.tensor([[True, False]])
    expected = -(target * logits.sigmoid().log() + (1 - target) * (-logits).sigmoid().log()).mean()
    torch.testing.assert_close(loss_of(logits, several, 0.1, several=True), expected)


def test_several_labels_are_learned_by_binary_cross_entropy(data, start):
    labels = torch.nn.functional.one_hot(data.labels, 10).bool()
    labels[:, 0] |= data.labels > 5
    several = replace(data, labels=labels)
    network = fit(start, several, Fit(epochs=15, lr=0.02, batch_size=32))
    with torch.no_grad():
        right = ((network(several.images) > 0) == labels).float().mean()
    assert right > 0.95


def test_a_last_batch_of_one_sample_is_left_out_where_there_are_statistics(data):
    network = nn.Sequential(nn.Flatten(), nn.BatchNorm1d(64), nn.Linear(64, 10))
    fitted = fit(network, data.take(torch.arange(65)), Fit(epochs=2, batch_size=32))
    assert int(fitted[1].num_batches_tracked) == 2 * 2
    with pytest.raises(StockpotError, match="learns nothing from batches of one sample"):
        fit(network, data, Fit(epochs=1, batch_size=1))
    plain = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
    assert fit(plain, data.take(torch.arange(65)), Fit(epochs=1, batch_size=32))


def test_bfloat16_is_for_the_forward_pass_only(data, start):
    exact, mixed = (
        fit(start, data, Fit(epochs=6, lr=0.01, batch_size=32, precision=precision))
        for precision in ("float32", "bfloat16")
    )
    assert all(p.dtype == torch.float32 for p in mixed.parameters())
    assert not torch.equal(weights(exact), weights(mixed))
    assert accuracy(predict(mixed, data)) > 0.8
    assert torch.equal(
        weights(exact), weights(fit(start, data, Fit(epochs=6, lr=0.01, batch_size=32)))
    )


def test_text_is_not_augmented():
    text = Dataset(
        "words", torch.zeros(4, 2, 3, dtype=torch.int64), torch.arange(4), 4, torch.arange(4)
    )
    with pytest.raises(StockpotError, match="'words' is text"):
        fit(nn.Linear(1, 1), text, Fit(), augment=Augment(flip=0.5))
