"""`base+adapter`, `rename` and views wherever a MODEL is named on the command line."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

Run = Callable[..., Any]


@pytest.fixture
def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    g = torch.Generator().manual_seed(0)
    names = [f"layers.{i}.q.weight" for i in range(4)]
    state = {name: torch.randn(64, 64, generator=g) for name in names}
    save_file(state, "base.safetensors")
    save_file({f"net.{n}": t + 0.01 for n, t in state.items()}, "other.safetensors")
    for name in ("lora1", "lora2"):
        Path(name).mkdir()
        factors = {
            f"base_model.model.{n.removesuffix('.weight')}.lora_{side}.weight": torch.randn(
                shape, generator=g
            )
            for n in names
            for side, shape in (("A", (2, 64)), ("B", (64, 2)))
        }
        save_file(factors, f"{name}/adapter_model.safetensors")
        config = {"peft_type": "LORA", "r": 2, "lora_alpha": 0.2}
        Path(f"{name}/adapter_config.json").write_text(json.dumps(config))
    return tmp_path


BOTH = ("base.safetensors+lora1", "base.safetensors+lora2")


def test_merge_verify_and_the_plan(house: Path, cli: Run):
    args = ("merge", "ties", *BOTH, "--base", "base.safetensors", "--out", "out")
    plan = cli(*args, "--dry-run")
    assert plan.code == 0
    assert not Path("out").exists()
    done = cli(*args)
    assert done.code == 0, done.err
    assert "lora1: 0.1 · B A (r 2, lora_alpha 0.2) on 4 tensors of base.safetensors" in done.err
    assert cli("verify", "out").code == 0
    assert cli("verify", "out", "--recompute").code == 0
    assert cli("merge", "average", *BOTH, "--out", "m.safetensors").code == 0
    assert cli("verify", "m.safetensors", "--recompute").code == 0


def test_inspect_and_diagnose(house: Path, cli: Run):
    found = cli("inspect", *BOTH, "--json").json
    assert [one["model"] for one in found["models"]] == list(BOTH)
    assert found["models"][0]["tensors"] == 4
    assert found["fits"][0]["same_origin"]
    told = cli("diagnose", *BOTH, "--base", "base.safetensors", "--json")
    assert told.code == 0, told.err
    assert told.json["same_origin"]
    assert [one["name"] for one in told.json["models"]] == list(BOTH)


def test_a_study_reads_them_too(house: Path, cli: Run):
    args = ("study", "interference", *BOTH, "--base", "base.safetensors", "--out", "study")
    done = cli(*args)
    assert done.code == 0, done.err
    assert "lora1" in Path("study/report.html").read_text()


def test_a_recipe_renames_and_explains(house: Path, cli: Run):
    Path("r.yml").write_text(
        "method: average\n"
        "models:\n"
        "  - base.safetensors+lora1\n"
        "  - path: other.safetensors\n"
        "    rename: {'net.*': '*'}\n"
        "    view: {name: cast, dtype: bfloat16}\n"
        "output: {dtype: float32}\n"
    )
    done = cli("run", "r.yml", "--out", "out.safetensors")
    assert done.code == 0, done.err
    assert list(load_file("out.safetensors")) == [f"layers.{i}.q.weight" for i in range(4)]
    rows = cli("explain", "r.yml", "--json").json["tensors"]
    assert rows[0]["models"] == ["base.safetensors+lora1", "other.safetensors (renamed, cast)"]
    told = json.loads(Path("out.safetensors.merge.json").read_text())
    assert told["recipe"]["models"][1] == {
        "path": "other.safetensors",
        "rename": {"net.*": "*"},
        "view": [{"name": "cast", "dtype": "bfloat16", "tensors": ["*"]}],
    }
    assert cli("verify", "out.safetensors", "--recompute").code == 0


@pytest.mark.parametrize(
    ("model", "words"),
    [
        ("{path: a, renam: {x: y}}", "models[0]: unknown key 'renam': did you mean 'rename'"),
        ("{path: a, rename: {x: 1}}", "models[0].rename: renamed: names must be a mapping of text"),
        ("{path: a, rename: x}", "models[0].rename: renamed: names must be a mapping"),
        ("{path: a, view: cats}", "models[0].view: there is no view 'cats': did you mean 'cast'"),
        (
            "{path: a, view: {name: cast, dtyp: x}}",
            "cast has no field 'dtyp': did you mean 'dtype'",
        ),
        ("{path: a, view: [{name: cast, dtype: int8}]}", "dtype must be one of float64, float32"),
        ("{path: a, view: 3}", "models[0].view must be a view's name, or {name: ..., and its fie"),
    ],
)
def test_what_a_recipe_says_wrong_has_its_place(house: Path, cli: Run, model: str, words: str):
    Path("r.yml").write_text(f"method: average\nmodels: [{model}]\n")
    refused = cli("run", "r.yml", "--out", "out")
    assert refused.code == 1
    assert words in refused.err


def test_help_says_base_plus_adapter(house: Path, cli: Run):
    for command in (("merge",), ("merge", "ties"), ("inspect",), ("diagnose",)):
        assert "BASE+ADAPTER" in cli(*command, "--help").out


def test_half_of_it_is_refused_by_name(house: Path, cli: Run):
    for models, words in (
        (("lora1", "lora2"), "lora1 is a PEFT adapter, which is no model by itself"),
        (("base.safetensors+lora3",), "nor is 'lora3' a PEFT adapter"),
        (("lora1/adapter_model.safetensors",), "is a PEFT adapter, which is no model by itself"),
    ):
        refused = cli("merge", "average", *models, "--out", "out")
        assert refused.code == 1
        assert words in refused.err
        assert not Path("out").exists()
