"""What a MODEL means: a path as it stands, else a model and the adapters on it."""

import pytest
import torch
from safetensors.torch import save_file

from stockpot.errors import CheckpointError
from stockpot.views import open_model
from stockpot.views.models import parts_of

FACTORS = {"w": (torch.ones(1, 3), torch.ones(2, 1))}
STATE = {"w.weight": torch.zeros(2, 3)}


@pytest.fixture
def there(tmp_path, monkeypatch, make_adapter):
    monkeypatch.chdir(tmp_path)
    save_file(STATE, tmp_path / "base.safetensors")
    for name in ("a", "b"):
        make_adapter(name, FACTORS)
    return tmp_path


def value(model: str) -> float:
    return float(open_model(model).entries["w.weight"].load()[0, 0])


def test_one_and_two_adapters(there):
    assert parts_of("base.safetensors+a+b") == ("base.safetensors", "a", "b")
    assert [value(f"base.safetensors{more}") for more in ("", "+a", "+a+b", "+a+a")] == [0, 2, 4, 4]
    assert value("base.safetensors+a/adapter_model.safetensors") == 2
    assert open_model("base.safetensors+a").label == "base.safetensors+a"
    assert (
        open_model(str(there / "base.safetensors") + f"+{there}/a/").entries.keys() == STATE.keys()
    )


def test_a_path_that_is_there_is_meant(there):
    save_file({"w.weight": torch.full((2, 3), 7.0)}, "base.safetensors+a")
    seen = open_model("base.safetensors+a")
    assert value("base.safetensors+a") == 7
    assert seen.notes == (
        "base.safetensors+a is there and is read; its name could also mean a model and adapters on "
        "it.",
    )


def test_pluses_in_names(there, make_adapter):
    make_adapter("c+d", FACTORS)
    assert value("base.safetensors+c+d") == 2
    assert value("base.safetensors+c+d+a") == 4
    make_adapter("a+b", FACTORS)
    with pytest.raises(CheckpointError, match=r"'base.safetensors\+a\+b' may mean .* or "):
        open_model("base.safetensors+a+b")


def test_what_is_not_there(there):
    for model, words in (
        ("base.safetensors+x", "does not exist, nor is 'x' a PEFT adapter .* on base.safetensors"),
        ("nobase+a", "nobase.a does not exist"),
        ("a", r"a is a PEFT adapter, which is no model by itself: .* BASE\+a"),
        ("a+b", r"a\+b does not exist"),
        ("s3://x+a", r"s3://x\+a does not exist"),
        ("+a", "does not exist"),
    ):
        with pytest.raises(CheckpointError, match=words):
            open_model(model)
    assert parts_of("s3://base.safetensors+a") == ("s3://base.safetensors+a",)
