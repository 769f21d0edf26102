"""Training files whose pickle holds more than weights: the global, the kind, a line that works."""

import argparse
import collections
import os
import pickle
import shlex
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from stockpot.checkpoints.read import read_checkpoint
from stockpot.errors import CheckpointError

STATE = {"a.weight": torch.ones(2, 2), "a.bias": torch.zeros(2)}


def refusal(path: Path) -> str:
    with pytest.raises(CheckpointError) as caught:
        read_checkpoint(path)
    return str(caught.value)


def converted(text: str, folder: Path) -> dict[str, torch.Tensor]:
    before = set(folder.iterdir())
    words = shlex.split(text.splitlines()[-1])
    exec(words[2], {})
    (made,) = set(folder.iterdir()) - before
    return {name: entry.load() for name, entry in read_checkpoint(made).entries.items()}


TRAINING = {
    "timm": (
        {"state_dict": STATE, "state_dict_ema": STATE, "args": argparse.Namespace(lr=0.1)},
        "argparse.Namespace",
    ),
    "cifar": ({"net": STATE, "acc": np.float64(93.2), "epoch": 3}, "multiarray.scalar"),
    "nnunet": (
        {"network_weights": STATE, "_best_ema": np.float32(0.9), "trainer_name": "nnUNetTrainer"},
        "multiarray.scalar",
    ),
    "at the top": ({**STATE, "args": argparse.Namespace(lr=0.1)}, "argparse.Namespace"),
    "mmengine": (
        {"meta": {"epoch": 1}, "state_dict": STATE, "message_hub": {"loss": np.ones(2)}},
        "multiarray._reconstruct",
    ),
}


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "legacy"])
@pytest.mark.parametrize("kind", list(TRAINING))
def test_the_file_of_a_training_script(tmp_path: Path, kind: str, zipped: bool) -> None:
    content, named = TRAINING[kind]
    path = tmp_path / f"{kind}.pth.tar"
    torch.save(content, path, _use_new_zipfile_serialization=zipped)
    text = refusal(path)
    assert named in text
    assert "training script's file" in text
    made = converted(text, tmp_path)
    assert set(made) == set(STATE)
    assert torch.equal(made["a.weight"], STATE["a.weight"])


def network(**of_a_file: object) -> object:
    torch.manual_seed(0)
    return nn.ModuleDict({"a": nn.Linear(2, 2)})


@pytest.mark.parametrize("where", ["model", "ema", "top"])
def test_a_pickled_network(tmp_path: Path, where: str) -> None:
    model = network()
    content = {
        "model": {"epoch": -1, "model": model, "ema": None},
        "ema": {"epoch": 3, "model": None, "ema": model},
        "top": model,
    }[where]
    torch.save(content, tmp_path / "yolo.pt")
    text = refusal(tmp_path / "yolo.pt")
    assert "torch.nn.modules" in text
    assert "pickled network" in text
    made = converted(text, tmp_path)
    assert set(made) == {"a.weight", "a.bias"}


def test_a_plain_pickle(tmp_path: Path) -> None:
    path = tmp_path / "detectron.pkl"
    weights = {"conv.weight": np.arange(4.0).reshape(2, 2), "version": 2}
    with path.open("wb") as file:
        pickle.dump({"model": weights, "__author__": "x"}, file)
    text = refusal(path)
    assert "plain pickle, such as Detectron2's" in text
    made = converted(text, tmp_path)
    assert torch.equal(made["conv.weight"], torch.arange(4.0, dtype=torch.float64).reshape(2, 2))


class Evil:
    def __reduce__(self):
        return (os.system, ("true",))


@pytest.mark.parametrize("form", ["zip", "legacy", "plain"])
def test_nobody_is_told_to_run_a_function_of_python_s(tmp_path: Path, form: str) -> None:
    path = tmp_path / "m.pt"
    if form == "plain":
        path.write_bytes(pickle.dumps({"model": Evil()}))
    else:
        content = {"state_dict": STATE, "x": Evil()}
        torch.save(content, path, _use_new_zipfile_serialization=form == "zip")
    text = refusal(path)
    assert "system" in text
    assert "python -c" not in text


def test_what_stands_beside_the_weights_is_told(tmp_path: Path) -> None:
    weights = collections.OrderedDict(STATE)
    content = {"weight": weights, "config": [1025, 32], "info": "200epoch", "sr": "40k", "f0": 1}
    torch.save(content | {"version": "v2"}, tmp_path / "voice.pth")
    (note,) = read_checkpoint(tmp_path / "voice.pth").notes
    assert note.endswith("under 'weight', left 'config', 'info', 'sr', 'f0', 'version'.")
    training = {
        "epoch": 3,
        "global_step": 9,
        "lr_schedulers": [],
        "optimizer_states": [],
        "loss": 1,
    }
    torch.save({"state_dict": STATE, **training, "callbacks": {}}, tmp_path / "run.ckpt")
    (note,) = read_checkpoint(tmp_path / "run.ckpt").notes
    assert note.endswith("took the state dict under 'state_dict'.")
    torch.save({"state_dict": STATE, "state_dict_ema": STATE}, tmp_path / "ema.pt")
    (note,) = read_checkpoint(tmp_path / "ema.pt").notes
    assert note.endswith("left 'state_dict_ema'.")


@pytest.mark.parametrize("key", ["weight", "net", "network_weights", "params", "module", "model"])
def test_weights_under_the_keys_of_other_programs(tmp_path: Path, key: str) -> None:
    torch.save({key: STATE, "epoch": 3}, tmp_path / "m.pt")
    assert set(read_checkpoint(tmp_path / "m.pt").entries) == set(STATE)
