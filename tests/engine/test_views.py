"""Merges of what views show: any budget, resumed, verified and repeated; what merge.json tells."""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

import stockpot as sp
from stockpot.engine.merge import run_recipe
from stockpot.engine.options import Options
from stockpot.engine.verify import verify
from stockpot.errors import OutputError
from stockpot.methods import Average, Ties
from stockpot.recipes.reading.recipe import parse_recipe
from stockpot.views import Cast, Renamed, Viewed, open_model

Tree = Callable[[Path], dict[str, bytes]]
NAMES = [f"layers.{i}.{part}.weight" for i in range(3) for part in ("q", "up")]


@pytest.fixture
def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A base with two adapters on it, a model under other names, and permutations."""
    monkeypatch.chdir(tmp_path)
    g = torch.Generator().manual_seed(0)
    shapes = {name: (300, 260) if ".q." in name else (260, 520) for name in NAMES}
    state = {name: torch.randn(shape, generator=g) for name, shape in shapes.items()}
    state["norm.weight"] = torch.randn(260, generator=g)
    Path("base").mkdir()
    save_file(state, "base/model.safetensors", {"format": "pt"})
    Path("base/config.json").write_text('{"model_type": "x", "num_hidden_layers": 3}')
    for name in ("lora1", "lora2"):
        factors = {}
        for tensor, (rows, columns) in shapes.items():
            module = f"base_model.model.{tensor.removesuffix('.weight')}"
            factors[f"{module}.lora_A.weight"] = 0.1 * torch.randn(4, columns, generator=g)
            factors[f"{module}.lora_B.weight"] = 0.1 * torch.randn(rows, 4, generator=g)
        Path(name).mkdir()
        save_file(factors, f"{name}/adapter_model.safetensors")
        config = {"peft_type": "LORA", "r": 4, "lora_alpha": 8}
        Path(f"{name}/adapter_config.json").write_text(json.dumps(config))
    other = {f"net.h.{n}": t + 0.01 for n, t in state.items()}
    save_file(other, "other.safetensors")
    orders = {"layers.0.q.weight:1": torch.randperm(260, generator=g)}
    save_file(orders | {"norm.weight:0": torch.arange(259, -1, -1)}, "order.safetensors")
    return tmp_path


RECIPES: dict[str, dict[str, Any]] = {
    "adapters": {
        "method": {"name": "ties", "density": 0.3, "trim": "model"},
        "base": "base",
        "models": ["base+lora1", "base+lora2"],
    },
    "no base beside them": {"method": "average", "models": ["base+lora1", "base+lora1+lora2"]},
    "rename": {
        "method": "average",
        "models": ["base", {"path": "other.safetensors", "rename": {"net.h.*": "*"}}],
    },
    "names matched": {"method": "slerp", "models": ["base", "other.safetensors"]},
    "slices": {
        "method": "average",
        "models": [
            {"path": "base", "view": {"name": "sliced", "layers": ["0:2", "1:3"]}},
            {
                "path": "base+lora1",
                "view": {"name": "sliced", "layers": ["0:2", "1@1:3"], "others": ["base+lora2"]},
            },
        ],
    },
    "views of a base": {
        "method": {"name": "task-arithmetic", "scale": 0.3},
        "base": {"path": "base", "view": {"name": "permuted", "file": "order.safetensors"}},
        "models": [
            {
                "path": "other.safetensors",
                "rename": {"net.h.*": "*"},
                "view": [
                    {"name": "permuted", "file": "order.safetensors"},
                    {"name": "cast", "dtype": "bfloat16"},
                ],
            }
        ],
        "output": {"dtype": "float32"},
    },
}


@pytest.mark.parametrize("name", RECIPES)
def test_it_verifies_and_repeats_from_wherever_it_lies(
    name: str, house: Path, tmp_path_factory: pytest.TempPathFactory
):
    recipe = parse_recipe(RECIPES[name])
    run_recipe(recipe, "out/merged")
    found = verify("out/merged", recompute=True)
    assert found.ok, found.problems
    again = parse_recipe(recipe.resolved())
    assert again == recipe
    run_recipe(again, "again/merged", Options(memory="3MiB", workers=1))
    outs = [Path(out, "merged/model.safetensors").read_bytes() for out in ("out", "again")]
    assert outs[0] == outs[1]
    moved = tmp_path_factory.mktemp("moved") / "house"
    shutil.copytree(house, moved, ignore=shutil.ignore_patterns("again"))
    assert verify(moved / "out/merged", recompute=True).ok


def test_the_formula(house: Path):
    run_recipe(parse_recipe(RECIPES["no base beside them"]), "out")
    base, merged = load_file("base/model.safetensors"), load_file("out/model.safetensors")
    loras = [load_file(f"lora{k}/adapter_model.safetensors") for k in (1, 2)]
    for name in NAMES:
        stem = f"base_model.model.{name.removesuffix('.weight')}"
        one, two = (
            2 * (x[f"{stem}.lora_B.weight"].double() @ x[f"{stem}.lora_A.weight"].double())
            for x in loras
        )
        wanted = base[name].double() + one + two / 2
        torch.testing.assert_close(merged[name].double(), wanted, rtol=0, atol=1e-6)
    assert torch.equal(merged["norm.weight"], base["norm.weight"])


def test_python_gives_the_same_bits(house: Path):
    run_recipe(parse_recipe(RECIPES["adapters"]), "out")
    wanted = load_file("out/model.safetensors")
    method = Ties(density=0.3, trim="model")
    models = ["base+lora1", open_model("base+lora2")]
    found = sp.merge(models, method, base="base")
    assert all(torch.equal(found[name], tensor) for name, tensor in wanted.items())
    views = (Renamed({"net.h.*": "*"}), Cast("float32"))
    sp.merge_to("two", ["base", Viewed("other.safetensors", views)], Average())
    run_recipe(parse_recipe(RECIPES["rename"]), "three")
    assert Path("two/merge.json").exists()
    one, other = (load_file(f"{out}/model.safetensors") for out in ("two", "three"))
    assert all(torch.equal(one[name], tensor) for name, tensor in other.items())


def test_what_merge_json_tells_of_the_parts(house: Path):
    run_recipe(parse_recipe(RECIPES["adapters"]), "out")
    told = json.loads(Path("out/merge.json").read_text())
    assert [one["name"] for one in told["inputs"]] == ["base+lora1", "base+lora2", "base"]
    first = told["inputs"][0]
    assert first["path"] is None
    assert [(one["name"], one["path"]) for one in first["parts"]] == [
        ("base", "../base"),
        ("lora1", "../lora1"),
    ]
    assert [file["name"] for file in first["files"]] == [
        "model.safetensors",
        "adapter_model.safetensors",
        "adapter_config.json",
    ]
    assert "2 · B A (r 4, lora_alpha 8) on 6 tensors of base." in first["notes"][0]
    tensor = told["tensors"]["layers.0.q.weight"]
    stem = "base_model.model.layers.0.q"
    (rows, more, none) = tensor["parts"]
    assert none is None
    assert [(owner, name) for owner, name, _ in rows] == [
        ("base", "layers.0.q.weight"),
        ("lora1", f"{stem}.lora_B.weight"),
        ("lora1", f"{stem}.lora_A.weight"),
    ]
    assert rows[0][2] == more[0][2] == tensor["from"][2][1]
    assert rows[1][2] != more[1][2]
    assert str(house) not in Path("out/merge.json").read_text()
    assert str(house) not in Path("out/README.md").read_text()
    assert '- "lora1"' in Path("out/README.md").read_text()
    run_recipe(parse_recipe(RECIPES["adapters"]), "none", Options(digest="none"))
    plain = json.loads(Path("none/merge.json").read_text())
    assert plain["tensors"]["layers.0.q.weight"]["parts"][0][0] == ["base", NAMES[0], None]


def test_another_adapter_or_configuration_is_told(house: Path):
    run_recipe(parse_recipe(RECIPES["adapters"]), "out")
    config = Path("lora1/adapter_config.json")
    config.write_text(config.read_text().replace("8", "9"))
    found = verify("out", recompute=True)
    assert "says other sizes or headers of the input base+lora1" in " ".join(found.problems)
    assert any("differs from the repeated merge" in one for one in found.problems)
    shutil.rmtree("lora2")
    with pytest.raises(OutputError, match="lora2 does not exist: pass --inputs DIR"):
        verify("out", recompute=True)


@pytest.mark.parametrize("name", ["adapters", "slices"])
def test_a_kill_is_resumed_to_the_same_bytes(
    name: str, house: Path, driver: Any, tree: Tree, tmp_path: Path
):
    text = re.sub(
        r"(?<=[\"+])(base|lora\d)(?=[\"+](?!:))", rf"{house}/\1", json.dumps(RECIPES[name])
    )
    recipe = json.loads(text)
    small = {"memory": "4MiB", "workers": 2}
    report = driver.run(recipe, tmp_path / "whole" / "out", options=small)
    assert "error" not in report
    expected = tree(tmp_path / "whole" / "out")
    for k, at in enumerate(range(12, report["operations"], report["operations"] // 5)):
        out = tmp_path / f"killed{k}" / "out"
        driver.killed(recipe, out, at, options=small)
        again = driver.run(recipe, out, options=small | {"resume": True})
        assert "error" not in again, (at, again)
        assert tree(out) == expected, at


def test_an_output_is_kept_apart_from_each_part(house: Path):
    with pytest.raises(OutputError, match="lies inside the input"):
        run_recipe(parse_recipe(RECIPES["adapters"]), "base/out")
    with pytest.raises(OutputError, match="contains the input"):
        run_recipe(parse_recipe(RECIPES["adapters"]), "lora1")


def test_an_input_whose_adapter_changes_meanwhile_is_told(house: Path):
    seen = open_model("base+lora1")
    Path("lora1/adapter_config.json").write_text("{}")
    assert [file.path.name for file in seen.files if file.changed()] == ["adapter_config.json"]


def test_the_same_path_seen_in_two_ways_is_two_inputs(house: Path):
    views = [{"name": "cast", "dtype": dtype} for dtype in ("bfloat16", "float16")]
    models = [{"path": "base", "view": view} for view in views]
    run_recipe(parse_recipe({"method": "average", "models": models}), "out")
    told = json.loads(Path("out/merge.json").read_text())
    assert [one["name"] for one in told["inputs"]] == ["base (cast)", "base (cast) 2"]
    assert [origin for origin, _ in told["tensors"]["norm.weight"]["from"]] == [0, 1]
    assert verify("out", recompute=True).ok
