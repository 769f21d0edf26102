"""`--key KEY` for every file and `--key MODEL=KEY` for one; what merge.json keeps, verify uses."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from .conftest import Run

STATE = {"conv.weight": torch.ones(4, 3), "conv.bias": torch.ones(4)}


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """gan.pth with params (1 everywhere) and params_ema (3), psnr.pth with 5 at its top."""
    monkeypatch.chdir(tmp_path)
    ema = {name: 3 * tensor for name, tensor in STATE.items()}
    torch.save({"params": STATE, "params_ema": ema}, "gan.pth")
    torch.save({name: 5 * tensor for name, tensor in STATE.items()}, "psnr.pth")
    return tmp_path


def values(name: str) -> set[float]:
    return {float(x) for tensor in load_file(name).values() for x in tensor.flatten()}


def test_a_file_that_nests_nothing_needs_no_key(files: Path, cli: Run) -> None:
    refused = cli("merge", "average", "gan.pth", "psnr.pth", "--out", "x.safetensors")
    assert refused.code == 1
    assert "several state dicts: 'params', 'params_ema'" in refused.err
    args = ("merge", "average", "gan.pth", "psnr.pth", "--out", "o.safetensors")
    done = cli(*args, "--weights", "0.75,0.25", "--key", "params_ema")
    assert done.code == 0
    assert "psnr.pth: key 'params_ema' not used, the file nests nothing." in done.err
    assert values("o.safetensors") == {3.5}


@pytest.mark.parametrize("model", ["gan.pth", "0"])
def test_a_key_of_one_model(files: Path, cli: Run, model: str) -> None:
    args = ("merge", "average", "gan.pth", "psnr.pth", "--out", "o.safetensors")
    assert cli(*args, "--key", f"{model}=params_ema").code == 0
    assert values("o.safetensors") == {4.0}
    manifest = json.loads(Path("o.safetensors.merge.json").read_text())
    assert manifest["recipe"]["models"][0] == {"path": "gan.pth", "key": "params_ema"}
    assert cli("verify", "o.safetensors", "--recompute").code == 0


def test_two_keys_of_one_file_and_one_for_the_rest(files: Path, cli: Run) -> None:
    args = ("merge", "average", "gan.pth", "gan.pth", "--out", "o.safetensors")
    assert cli(*args, "--key", "0=params", "--key", "params_ema").code == 0
    assert values("o.safetensors") == {2.0}
    assert cli("verify", "o.safetensors", "--recompute").code == 0


def test_a_key_of_the_base(files: Path, cli: Run) -> None:
    args = ("merge", "task-arithmetic", "psnr.pth", "--base", "gan.pth", "--out", "o.safetensors")
    assert cli(*args, "--scale", "0.5", "--key", "base=params").code == 0
    assert values("o.safetensors") == {3.0}
    assert cli("verify", "o.safetensors", "--recompute").code == 0


def test_a_recipe_has_keys_of_its_own_and_flags_override(files: Path, cli: Run) -> None:
    Path("r.yml").write_text(
        "method: average\nmodels:\n  - {path: gan.pth, key: params_ema}\n  - psnr.pth\n"
    )
    assert cli("run", "r.yml", "--out", "o.safetensors").code == 0
    assert values("o.safetensors") == {4.0}
    assert cli("run", "r.yml", "--out", "p.safetensors", "--key", "gan.pth=params").code == 0
    assert values("p.safetensors") == {3.0}


def test_a_wrong_key_is_no_other_one(files: Path, cli: Run) -> None:
    args = ("merge", "average", "gan.pth", "psnr.pth", "--out", "o.safetensors")
    wrong = cli(*args, "--key", "gan.pth=emma")
    assert wrong.code == 1
    assert "no state dict under 'emma'; it has 'params', 'params_ema'" in wrong.err
    for text, said in (
        ("nobody.pth=params", "--key takes KEY or MODEL=KEY"),
        ("7=params", "--key takes KEY or MODEL=KEY"),
        ("base=params", "--key takes KEY or MODEL=KEY"),
        ("gan.pth=", "--key takes KEY or MODEL=KEY"),
    ):
        refused = cli(*args, "--key", text)
        assert refused.code == 2, text
        assert said in refused.err
    assert cli(*args, "--key", "params", "--key", "params_ema").code == 2


def test_inspect_takes_a_key_of_each(files: Path, cli: Run) -> None:
    found = cli("inspect", "gan.pth", "psnr.pth", "--key", "gan.pth=params", "--json").json
    assert [one["tensors"] for one in found["models"]] == [2, 2]
    assert "left 'params_ema'" in found["models"][0]["notes"][0]


def test_inspect_says_that_names_differ_in_one_sentence(files: Path, cli: Run) -> None:
    save_file({f"model.{name}": tensor for name, tensor in STATE.items()}, "m.safetensors")
    (fit,) = cli("inspect", "psnr.pth", "m.safetensors", "--json").json["fits"]
    sentence = (
        "m.safetensors holds 2 tensors of psnr.pth under other names: with 'model.' before them. A "
        "merge matches them."
    )
    assert fit["names"] == sentence
    assert fit["differences"] == []
    shown = cli("inspect", "psnr.pth", "m.safetensors").out
    assert " ".join(shown.split()).count(sentence) == 1
    assert "does not fit" not in shown
    assert "has the same tensors" not in shown
