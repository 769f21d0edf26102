from pathlib import Path

import pytest
import torch

from stockpot.checkpoints.read import read_checkpoint
from stockpot.errors import CheckpointError

STATE = {"a.weight": torch.ones(2, 2), "a.bias": torch.zeros(2)}
OPTIMIZER = {
    "state": {0: {"step": torch.tensor(3.0), "exp_avg": torch.ones(2, 2)}},
    "param_groups": [{"lr": 0.1, "params": [0, 1]}],
}


def saved(tmp_path: Path, content: object) -> Path:
    torch.save(content, tmp_path / "m.pt")
    return tmp_path / "m.pt"


@pytest.mark.parametrize(
    ("content", "key"),
    [
        (STATE, "."),
        ({"state_dict": STATE}, "state_dict"),
        ({"model_state_dict": STATE, "optimizer_state_dict": OPTIMIZER}, "model_state_dict"),
        ({"model": STATE, "optimizer": OPTIMIZER, "epoch": 3}, "model"),
        ({"model": {"state_dict": STATE, "name": "x"}, "optimizer": OPTIMIZER}, "model.state_dict"),
        ({"model.state_dict": STATE, "step": 5}, "model.state_dict"),
        ({"net": STATE, "optimizer": OPTIMIZER, "args": {"lr": 0.1}}, "net"),
        ({"net": STATE, "optimizer": {"exp_avg.a": torch.ones(2)}}, "net"),
        ({"state_dict": STATE, "state_dict_ema": STATE, "step": torch.tensor(1)}, "state_dict"),
    ],
)
def test_the_state_dict_is_found(tmp_path: Path, content: object, key: str) -> None:
    checkpoint = read_checkpoint(saved(tmp_path, content))
    assert list(checkpoint.entries) == list(STATE)
    assert torch.equal(checkpoint.entries["a.weight"].load(), torch.ones(2, 2))
    taken = [note for note in checkpoint.notes if f"took the state dict under {key!r}" in note]
    assert len(taken) == (key != ".")


def test_what_was_left_is_noted(tmp_path: Path) -> None:
    content = {"state_dict": {**STATE, "version": 3}, "state_dict_ema": STATE}
    notes = read_checkpoint(saved(tmp_path, content)).notes
    assert any("under 'state_dict', left 'state_dict_ema'" in note for note in notes)
    assert any("left 'version', which is no tensor" in note for note in notes)


AMBIGUOUS = [
    ({"generator": STATE, "discriminator": STATE}, ["'generator'", "'discriminator'"]),
    ({"state_dict": STATE, "model": STATE}, ["'state_dict'", "'model'"]),
    ({"w": torch.ones(2), "extra": {"v": torch.ones(3)}}, ["'.'", "'extra'"]),
    ({"model": {"encoder": STATE, "decoder": STATE}}, ["'model.encoder'", "'model.decoder'"]),
]


@pytest.mark.parametrize(("content", "keys"), AMBIGUOUS)
def test_an_ambiguity_lists_the_keys_and_a_key_settles_it(
    tmp_path: Path, content: object, keys: list[str]
) -> None:
    path = saved(tmp_path, content)
    with pytest.raises(CheckpointError) as caught:
        read_checkpoint(path)
    message = str(caught.value)
    assert "several state dicts" in message
    assert [key for key in keys if key not in message] == [], message
    for key in keys:
        assert read_checkpoint(path, key=key.strip("'")).entries


def test_a_key_may_choose_what_would_not_be_chosen(tmp_path: Path) -> None:
    ema = {"a.weight": torch.full((2, 2), 5.0)}
    path = saved(tmp_path, {"state_dict": STATE, "ema": ema})
    assert float(read_checkpoint(path, key="ema").entries["a.weight"].load()[0, 0]) == 5
    assert float(read_checkpoint(path).entries["a.weight"].load()[0, 0]) == 1


def test_a_wrong_key_lists_the_right_ones(tmp_path: Path) -> None:
    path = saved(tmp_path, {"state_dict": STATE})
    with pytest.raises(CheckpointError, match=r"no state dict under 'model'; it has 'state_dict'"):
        read_checkpoint(path, key="model")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ([1, 2], "only a list"),
        (torch.ones(3), "only a Tensor"),
        ({"epoch": 3, "loss": 0.5}, "only a dict of 'epoch', 'loss'"),
        ({}, "only a dict of nothing"),
        ({1: torch.ones(2)}, "only a dict of '1'"),
        (OPTIMIZER, "only a dict of 'state', 'param_groups'"),
    ],
)
def test_no_state_dict(tmp_path: Path, content: object, words: str) -> None:
    with pytest.raises(CheckpointError) as caught:
        read_checkpoint(saved(tmp_path, content))
    assert words in str(caught.value)
    assert "Save the model's state_dict()" in str(caught.value)
