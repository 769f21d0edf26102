import pytest
import torch
from torch import nn

from stockpot.data import digits
from stockpot.errors import StockpotError
from stockpot.evaluation import Predictions, accuracy, logits_ensemble, predict
from stockpot.networks import build, headed
from stockpot.running.executor import one_thread


def made(logits, labels, forwards=1):
    labels = torch.tensor(labels)
    return Predictions(torch.tensor(logits), labels, torch.arange(len(labels)), forwards)


@pytest.fixture(scope="module")
def data():
    return digits().take(torch.arange(50))


def test_each_sample_is_run_once_in_order(data):
    network = build("cnn", num_classes=10, in_channels=1, image_size=8)
    seen = []
    network.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    with one_thread():
        predictions = predict(network, data, batch_size=20)
    assert [len(batch) for batch in seen] == [20, 20, 10]
    assert torch.equal(torch.cat(seen), data.images)
    assert torch.equal(predictions.labels, data.labels)
    assert not predictions.logits.requires_grad


class Forgetful(nn.Module):
    """Keeps its input on itself for a while, as research code does."""

    def __init__(self):
        super().__init__()
        self.head = nn.Linear(64, 10)

    def forward(self, images):
        self.kept = images.flatten(1)
        torch.ones(200, 200) @ torch.ones(200, 200)  # time for another thread
        return self.head(self.kept)


@pytest.mark.parametrize("threads", [2, 3, 7])
def test_threads_change_no_bit_and_do_not_meet(data, threads):
    network = Forgetful().eval()
    split = headed(network, data.images[:2])
    with one_thread():
        alone = predict(split, data, batch_size=3)
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        together = predict(split, data, batch_size=3)
        assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(before)
    assert torch.equal(together.logits, alone.logits)
    assert torch.equal(together.features, alone.features)
    assert torch.equal(together.features, data.images.flatten(1))
    assert not together.logits.requires_grad


@pytest.mark.parametrize("part", [slice(None), slice(1, 2)])
def test_a_module_in_training_mode_is_refused(data, part):
    network = nn.Sequential(nn.Flatten(), nn.Dropout(), nn.Linear(64, 10)).eval()
    predict(network, data)
    for module in list(network.modules())[part]:
        module.train()
    with pytest.raises(StockpotError, match=r"training mode.*call \.eval\(\)"):
        predict(network, data)


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), float("-inf")])
def test_an_output_that_is_not_finite_is_wrong_whatever_the_label(bad):
    for label in range(3):
        predictions = made([[bad, 0.0, 1.0]], [label])
        assert predictions.classes().tolist() == [-1]
        assert accuracy(predictions) == 0


def test_accuracy_agrees_with_correct():
    predictions = made([[1.0, 0.0], [0.0, 1.0], [3.0, 2.0], [float("nan"), 9.0]], [0, 1, 1, 1])
    assert predictions.correct().tolist() == [1, 1, 0, 0]
    assert accuracy(predictions) == 0.5


def test_the_ensemble_averages_logits_and_costs_all_its_members():
    a = made([[2.0, 0.0], [0.0, 1.0]], [0, 1])
    b = made([[0.0, 1.0], [0.0, 3.0]], [0, 1], forwards=2)
    both = logits_ensemble([a, b])
    assert both.logits.tolist() == [[1.0, 0.5], [0.0, 2.0]]
    assert both.forwards == 3


def test_an_ensemble_of_copies_is_the_model(data):
    one = predict(build("mlp", num_classes=10, in_channels=1, image_size=8), data)
    assert torch.equal(logits_ensemble([one, one]).logits, one.logits)


def test_one_broken_member_makes_the_ensemble_wrong():
    good, broken = made([[5.0, 0.0]], [0]), made([[float("inf"), 0.0]], [0])
    assert accuracy(good) == 1
    assert accuracy(logits_ensemble([good, broken])) == 0


def test_members_that_saw_other_samples_are_refused():
    with pytest.raises(StockpotError, match="same samples"):
        logits_ensemble([made([[1.0, 0.0]], [0]), made([[1.0, 0.0]], [1])])
    with pytest.raises(StockpotError, match="at least one"):
        logits_ensemble([])
