"""The same weights from Lightning's and transformers' trainers as from a plain loop."""

import copy
import warnings

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from stockpot.errors import ExtraError, StockpotError
from stockpot.training import (
    Additions,
    Ema,
    InModelMerge,
    Lawa,
    Layers,
    ProximalTerm,
    ScopeRegularizer,
    Swa,
    WeightAverage,
    add_gradients,
    lightning_callback,
    transformers_callback,
)

STEPS = 6


def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 8), nn.Tanh(), nn.Linear(8, 3))


def additions(start, averaging=None):
    return Additions(
        penalties=(ScopeRegularizer((0.0, 0.1), 0.5), ProximalTerm(start, 0.2)),
        merging=InModelMerge(skip_first=1, tau=-1.0, layers=Layers()),
        averaging=averaging,
    )


def plain_loop(start, added, batches, loss, *, accumulate=1):
    """What a callback is to come to: STEPS steps of SGD, one batch after another."""
    one = copy.deepcopy(start).train()
    optimiser = torch.optim.SGD(one.parameters(), lr=0.1)
    average = added.averaging and WeightAverage(one, added.averaging, steps=STEPS, epochs=2)
    for step in range(STEPS):
        added.merging(one, step)
        total = sum(loss(one, batch) for batch in batches[step * accumulate :][:accumulate])
        total = total / accumulate + sum(penalty(one) for penalty in added.penalties)
        optimiser.zero_grad()
        total.backward()
        optimiser.step()
        if average:
            average.after_step(step + 1)
    return average.put_into(one) if average else one


def same(one, other):
    for name, tensor in one.state_dict().items():
        torch.testing.assert_close(tensor.cpu(), other.state_dict()[name], rtol=1e-4, atol=1e-6)


def test_gradients_are_added_to_what_is_there():
    one = network()
    penalties = additions(network()).penalties
    one(torch.rand(2, 4)).sum().backward()
    before = [p.grad.clone() for p in one.parameters()]
    total = add_gradients(one, penalties)
    expected = sum(penalty(one) for penalty in penalties)
    assert total.item() == pytest.approx(expected.item())
    grads = torch.autograd.grad(expected, list(one.parameters()))
    for parameter, old, new in zip(one.parameters(), before, grads, strict=True):
        torch.testing.assert_close(parameter.grad, old + new)


def test_without_lightning_the_way_to_get_it_is_said(monkeypatch):
    def missing(name):
        raise ModuleNotFoundError(name=name.partition(".")[0])

    monkeypatch.setattr("stockpot.training.additions.callbacks.import_module", missing)
    with pytest.raises(ExtraError, match="pip install lightning"):
        lightning_callback(Additions())


@pytest.fixture(scope="module")
def lightning():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pytest.importorskip("lightning.pytorch", reason="Lightning is not installed")


def loader(batches):
    return torch.utils.data.DataLoader(batches, batch_size=None)


def module_of(lightning, start):
    class Module(lightning.LightningModule):
        def __init__(self):
            super().__init__()
            self.model = copy.deepcopy(start)

        def training_step(self, batch, batch_idx):
            return F.cross_entropy(self.model(batch[0]), batch[1])

        def configure_optimizers(self):
            return torch.optim.SGD(self.parameters(), lr=0.1)

    return Module()


def trained(lightning, start, added, batches, **keys):
    trainer = lightning.Trainer(
        max_epochs=2, accelerator="cpu", logger=False, enable_checkpointing=False,
        enable_progress_bar=False, enable_model_summary=False,
        callbacks=[lightning_callback(added, "model")], **keys,
    )  # fmt: skip
    module = module_of(lightning, start)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        trainer.fit(module, loader(batches))
    return module.model, trainer


@pytest.mark.full
@pytest.mark.parametrize("accumulate", [1, 2])
@pytest.mark.parametrize("averaging", [None, Ema(decay=0.5), Swa(start=0.0), Lawa(last=2)])
def test_lightning_gives_what_a_plain_loop_gives(lightning, averaging, accumulate):
    start, added = network(), additions(network(), averaging)
    torch.manual_seed(1)
    batches = [(torch.rand(5, 4), torch.randint(3, (5,))) for _ in range(STEPS // 2 * accumulate)]
    keys = {"accumulate_grad_batches": accumulate}
    found, trainer = trained(lightning, start, added, batches, **keys)
    assert trainer.global_step == STEPS
    assert "penalty" in trainer.callback_metrics

    def loss(one, batch):
        return F.cross_entropy(one(batch[0]), batch[1])

    same(found, plain_loop(start, added, batches * 2, loss, accumulate=accumulate))


@pytest.mark.full
def test_averages_are_in_the_checkpoints_of_lightning(lightning, tmp_path):
    start, added = network(), additions(network(), Ema(decay=0.5))
    torch.manual_seed(1)
    batches = [(torch.rand(5, 4), torch.randint(3, (5,))) for _ in range(STEPS // 2)]
    whole, _ = trained(lightning, start, added, batches)

    class Stop(lightning.Callback):
        def on_train_epoch_end(self, trainer, pl_module):
            trainer.save_checkpoint(tmp_path / "half.ckpt")
            trainer.should_stop = True

    quiet = {
        "accelerator": "cpu", "logger": False, "enable_checkpointing": False,
        "enable_progress_bar": False, "enable_model_summary": False, "max_epochs": 2,
    }  # fmt: skip
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        first = lightning.Trainer(callbacks=[lightning_callback(added, "model"), Stop()], **quiet)
        first.fit(module_of(lightning, start), loader(batches))
        again = module_of(lightning, start)
        second = lightning.Trainer(callbacks=[lightning_callback(added, "model")], **quiet)
        second.fit(again, loader(batches), ckpt_path=tmp_path / "half.ckpt")
    same(again.model, whole)


class Samples(torch.utils.data.Dataset):
    def __init__(self):
        torch.manual_seed(1)
        self.ids, self.labels = torch.randint(20, (6, 5)), torch.randint(3, (6,))

    def __len__(self):
        return 6

    def __getitem__(self, index):
        return {"input_ids": self.ids[index], "labels": self.labels[index]}


@pytest.fixture(scope="module")
def transformers():
    pytest.importorskip("accelerate", reason="transformers' Trainer needs accelerate")
    return pytest.importorskip("transformers")


def bert(transformers):
    torch.manual_seed(0)
    config = transformers.BertConfig(
        vocab_size=20, hidden_size=8, num_hidden_layers=1, num_attention_heads=2,
        intermediate_size=16, num_labels=3, hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0, classifier_dropout=0.0,
    )  # fmt: skip
    return transformers.BertForSequenceClassification(config)


def train_bert(transformers, model, added, folder, **keys):
    args = transformers.TrainingArguments(
        str(folder), max_steps=STEPS, per_device_train_batch_size=6, max_grad_norm=0.0,
        use_cpu=True, report_to=[], disable_tqdm=True, save_strategy="no", logging_strategy="no",
        **keys,
    )  # fmt: skip
    optimiser = torch.optim.SGD(model.parameters(), lr=0.1)
    schedule = torch.optim.lr_scheduler.ConstantLR(optimiser, 1.0, 0)
    trainer = transformers.Trainer(
        model=model, args=args, train_dataset=Samples(), optimizers=(optimiser, schedule),
        callbacks=[transformers_callback(added)],
    )  # fmt: skip
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        trainer.train()
    return trainer


@pytest.mark.full
@pytest.mark.parametrize("averaging", [None, Ema(decay=0.5), Lawa(last=2, every=2)])
def test_transformers_gives_what_a_plain_loop_gives(transformers, averaging, tmp_path):
    start = bert(transformers)
    added, data = additions(start, averaging), Samples()
    model = copy.deepcopy(start)
    train_bert(transformers, model, added, tmp_path)

    def loss(one, _):
        return one(input_ids=data.ids, labels=data.labels).loss

    same(model, plain_loop(start, added, [None] * STEPS, loss))


@pytest.mark.full
def test_what_transformers_cannot_do_is_refused(transformers, tmp_path):
    callback = transformers_callback(additions(network(), Ema()))
    args = transformers.TrainingArguments(str(tmp_path), use_cpu=True, report_to=[])
    state = transformers.TrainerState(global_step=3, max_steps=6, num_train_epochs=1)
    with pytest.raises(StockpotError, match="holds no averages"):
        callback.on_train_begin(args, state, None, model=network())
    args.fp16 = True
    with pytest.raises(StockpotError, match="use bf16"):
        callback.on_train_begin(args, state, None, model=network())
