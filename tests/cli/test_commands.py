"""What each command does when all is well."""

import json
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

import stockpot as sp
from stockpot.methods import (
    METHODS,
    Average,
    Consensus,
    Interpolate,
    ModelStock,
    TaskArithmetic,
    Ties,
    Weave,
)
from stockpot.values.fields import field_specs, kebab_name

Run = Callable[..., Any]
A, B, BASE = "a.safetensors", "b.safetensors", "base.safetensors"
NAMES = [kebab_name(cls) for cls in METHODS]


def merged(path: str = "out") -> dict[str, torch.Tensor]:
    return load_file(f"{path}/model.safetensors")


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> None:
    assert set(one) == set(other)
    for name, tensor in one.items():
        assert tensor.dtype == other[name].dtype
        assert torch.equal(tensor, other[name]), name


def test_merge_says_what_it_did(here: Path, cli: Run) -> None:
    done = cli("merge", "average", A, B, "--out", "out")
    assert done.code == 0
    assert done.out.startswith("out: 7 tensors")
    same(merged(), sp.merge([load_file(A), load_file(B)], Average()))


def test_a_decay_gives_the_weights(here: Path, cli: Run) -> None:
    states = [load_file(A), load_file(B), load_file(BASE)]
    for decay, weights in (("linear", [1, 1, 1]), ("0.75,0.25", [0.25, 0.5, 0.25])):
        assert cli("merge", "average", A, B, BASE, "--out", "out", "--decay", decay, "--overwrite")
        same(merged(), sp.merge(states, Average(), weights=[w / sum(weights) for w in weights]))
    refused = cli("merge", "average", A, B, "--out", "x", "--decay", "linear", "--weights", "1,2")
    assert refused.code == 2
    assert "leave weights out" in refused.err
    refused = cli("merge", "average", A, B, "--out", "x", "--decay", "sudden")
    assert refused.code == 2
    assert "there is no decay 'sudden'" in refused.err


def test_merge_as_json(here: Path, cli: Run) -> None:
    facts = cli("merge", "average", A, B, "--out", "out.safetensors", "--json").json
    assert facts["path"] == "out.safetensors"
    assert facts["tensors"] == 7
    assert facts["resumed"] == 0
    assert facts["bytes_written"] * 2 == facts["bytes_read"] + 8
    assert facts["notes"] == []


@pytest.mark.parametrize(
    ("tokens", "method", "weights"),
    [
        (["average", "--weights", "-0.5,1.5"], Average(), [-0.5, 1.5]),
        (["average", "--weights=-0.5,1.5"], Average(), [-0.5, 1.5]),
        (["interpolate", "--t", "-0.25"], Interpolate(t=-0.25), None),
        (["task-arithmetic", "--scale", "-1"], TaskArithmetic(scale=-1.0), None),
        (["task-arithmetic", "--weights", "1e-1,.5"], TaskArithmetic(), [0.1, 0.5]),
        (["ties", "--density", "0.5,0.1"], Ties(density=(0.5, 0.1)), None),
        (["ties", "--density", "1", "--vote", "count"], Ties(density=1, vote="count"), None),
        (["model-stock", "--no-clip"], ModelStock(clip=False), None),
        (["model-stock"], ModelStock(), None),
        (["consensus", "--agree", "1", "--ratio", "0.2,0.6"], Consensus(1, (0.2, 0.6)), None),
        (
            ["weave", "--method", "{name: ties, vote: count}", "--grid", "{density: [0.5, 1]}"],
            Weave(Ties(vote="count"), {"density": (0.5, 1.0)}),
            None,
        ),
        (
            ["weave", "--method=task-arithmetic", "--pool", "{name: ties, density: 0.5}"],
            Weave(TaskArithmetic(), pool=Ties(density=0.5)),
            None,
        ),
    ],
    ids=str,
)
def test_the_fields_of_a_method_are_flags(
    tokens: list[str], method: Any, weights: list[float] | None, here: Path, cli: Run
) -> None:
    base = ["--base", BASE] if method.needs.base else []
    done = cli("merge", tokens[0], A, B, *base, *tokens[1:], "--out", "out")
    assert done.code == 0, done.err
    state = load_file(BASE) if base else None
    expected = sp.merge([load_file(A), load_file(B)], method, base=state, weights=weights)
    same(merged(), expected)


@pytest.mark.parametrize("name", NAMES)
def test_every_method_merges_and_every_field_is_a_flag(name: str, here: Path, cli: Run) -> None:
    cls = next(c for c in METHODS if kebab_name(c) == name)
    base = ["--base", BASE] if cls().needs.base else []
    base += ["--statistics", B, A] if cls().needs.statistics else []
    assert cli("merge", name, A, B, *base, "--out", "out", "--quiet").code == 0
    assert cli("verify", "out", "--recompute").code == 0
    text = cli("merge", name, "--help").out
    for spec in field_specs(cls):
        assert f"--{spec.name.replace('_', '-')}" in text
    assert "--empty-" not in text
    assert "--no-quiet" not in text
    assert "--base" in text
    assert "--memory" in text


def test_run_flags(here: Path, cli: Run) -> None:
    models = [load_file(A), load_file(B)]
    base, average = load_file(BASE), sp.merge([load_file(A), load_file(B)], Average())

    cli("merge", "average", A, B, "--out", "half", "--dtype", "bfloat16")
    same(merged("half"), sp.merge(models, Average(), dtype="bfloat16"))

    cli("merge", "average", A, B, "--out", "shards", "--shard-size", "500")
    index = json.loads((here / "shards" / "model.safetensors.index.json").read_text())
    assert len(set(index["weight_map"].values())) > 2

    only = ["--only", "layers.0.*", "--only", "head.*"]
    cli("merge", "average", A, B, "--base", BASE, "--out", "only", *only)
    kept = ("layers.0.", "head.")
    same(merged("only"), {n: (average if n.startswith(kept) else base)[n] for n in base})

    copies = ["--copy", "head.*=base", "--copy", f"embed*={B}", "--copy", "layers.1.*=0"]
    cli("merge", "average", A, B, "--base", BASE, "--out", "copy", *copies)
    origin = {"head.": base, "embed": models[1], "layers.1": models[0]}
    expected = {
        n: next((m for p, m in origin.items() if n.startswith(p)), average)[n] for n in base
    }
    same(merged("copy"), expected)

    seeds = {}
    for seed in ("1", "2"):
        cli("merge", "dare", A, B, "--base", BASE, "--out", f"s{seed}", "--seed", seed)
        seeds[seed] = merged(f"s{seed}")
    assert not torch.equal(seeds["1"]["embed_tokens.weight"], seeds["2"]["embed_tokens.weight"])
    assert json.loads((here / "s2" / "merge.json").read_text())["seed"] == 2


def test_missing(here: Path, cli: Run) -> None:
    lacking = load_file(A)
    del lacking["head.weight"]
    save_file(lacking, "x.safetensors")
    assert cli("merge", "average", "x.safetensors", B, "--out", "out").code == 1
    present = cli("merge", "average", "x.safetensors", B, "--out", "p", "--missing", "present")
    assert present.code == 0
    assert "'head.weight'" in present.err
    assert torch.equal(merged("p")["head.weight"], load_file(B)["head.weight"])
    base = ["--base", BASE, "--missing", "base"]
    assert cli("merge", "average", "x.safetensors", B, "--out", "b", *base).code == 0
    mean = sp.merge([load_file(BASE), load_file(B)], Average())
    assert torch.equal(merged("b")["head.weight"], mean["head.weight"])


def test_resume_and_overwrite(here: Path, cli: Run) -> None:
    assert cli("merge", "average", A, B, "--out", "out", "--resume").code == 0
    again = cli("merge", "average", A, B, "--out", "out", "--resume", "--json")
    assert again.json["resumed"] == 7
    assert cli("merge", "average", A, "--out", "out").code == 1
    assert cli("merge", "average", A, "--out", "out", "--overwrite").code == 0


def test_quiet(here: Path, cli: Run) -> None:
    done = cli("merge", "average", A, B, "--base", BASE, "--out", "out", "--quiet")
    assert (done.code, done.err) == (0, "")
    assert done.out.startswith("out: 7 tensors")


@pytest.mark.parametrize("memory", ["1MiB", "1GiB"])
def test_dry_run_shows_the_plan_and_writes_nothing(memory: str, here: Path, cli: Run) -> None:
    before = sorted(here.rglob("*"))
    command = ["merge", "ties", A, B, "--base", BASE, "--out", "sub/out", "--dry-run"]
    command += ["--memory", memory]
    done = cli(*command)
    assert done.code == 0
    for word in ("embedding", "matrix", "vector", "counter", "Ties(density=0.2", "copy", "reads"):
        assert word in done.out
    for word in ("writes", "peak memory", "workers", " s; nothing was written"):
        assert word in done.out
    facts = cli(*command, "--json").json
    groups = {(g["role"], g["treatment"].split("(")[0]): g for g in facts["groups"]}
    assert groups["matrix", "Ties"]["tensors"] == 3
    assert groups["matrix", "Ties"]["reads"] == 2
    assert groups["counter", "copy"]["reads"] == 1
    floats = sum(t.nbytes for t in load_file(A).values() if t.is_floating_point())
    assert facts["bytes_to_read"] == floats * 3 * 2 + 8
    assert facts["bytes_to_write"] > floats
    assert facts["peak_memory"] > 0
    assert facts["seconds"] >= 0
    assert facts["workers"] >= 1
    assert sorted(here.rglob("*")) == before


def test_dry_run_finds_what_a_run_would_refuse(here: Path, cli: Run) -> None:
    save_file({"w": torch.ones(2)}, "x.safetensors")
    done = cli("merge", "average", A, "x.safetensors", "--out", "out", "--dry-run")
    assert done.code == 1
    assert "a.safetensors and x.safetensors are different networks" in done.err


def test_methods_lists_all(cli: Run) -> None:
    done = cli("methods")
    assert done.code == 0
    assert [name for name in NAMES if name not in done.out] == []
    listed = cli("methods", "--json").json["methods"]
    assert [m["name"] for m in listed] == NAMES
    assert all(m["summary"] for m in listed)


@pytest.mark.parametrize("cls", METHODS, ids=kebab_name)
def test_methods_explains_one(cls: Any, cli: Run) -> None:
    done = cli("methods", kebab_name(cls))
    assert done.code == 0
    for word in ("Needs:", "Cost:", "Source:", "θ"):
        assert word in done.out
    facts = cli("methods", kebab_name(cls), "--json").json
    assert facts["base"] == cls().needs.base
    told = {field["name"]: field for field in facts["fields"]}
    assert list(told) == [spec.name for spec in field_specs(cls)]
    for spec in field_specs(cls):
        assert spec.name in done.out
        assert told[spec.name]["effect"]
        assert spec.interval() in told[spec.name]["legal"]
    assert done.out.count("Attributes:") == 0


def test_methods_of_no_such_name(cli: Run) -> None:
    done = cli("methods", "tie")
    assert done.code == 2
    assert "did you mean 'ties'" in done.err


def test_inspect_every_form(here: Path, cli: Run) -> None:
    state = load_file(A)
    torch.save(state, "plain.pt")
    torch.save({"epoch": 3, "state_dict": {f"module.{n}": t for n, t in state.items()}}, "x.ckpt")
    torch.save(state, "old.bin", _use_new_zipfile_serialization=False)
    cli("merge", "average", A, "--out", "shards", "--shard-size", "500")
    for path in (A, "d", "plain.pt", "x.ckpt", "old.bin", "shards"):
        done = cli("inspect", path)
        assert done.code == 0, done.err
        assert f"{path}: 7 tensors" in done.out
        for word in ("embedding", "matrix", "vector", "counter", "float32", "int64"):
            assert word in done.out
        facts = cli("inspect", path, "--json", "--tensors").json
        (model,) = facts["models"]
        assert model["tensors"] == len(model["entries"]) == 7
        assert sum(role["bytes"] for role in model["roles"]) == model["bytes"]
        assert {e["name"]: e["shape"] for e in model["entries"]} == {
            n: list(t.shape) for n, t in state.items()
        }
    assert "module." in cli("inspect", "x.ckpt").err


def test_inspect_tells_whether_models_fit(here: Path, cli: Run) -> None:
    state = load_file(A)
    save_file({n: t for n, t in state.items() if n != "head.weight"}, "x.safetensors")
    done = cli("inspect", A, B, "x.safetensors", "d")
    assert done.code == 0
    assert "b.safetensors has the same tensors as a.safetensors" in done.out
    assert "x.safetensors does not fit a.safetensors: 1 difference.\n" in done.out
    assert "'head.weight' is missing in x.safetensors" in done.out
    fits = cli("inspect", A, B, "x.safetensors", "d", "--json").json["fits"]
    assert [f["model"] for f in fits] == [B, "x.safetensors", "d"]
    assert [f["same_origin"] for f in fits] == [True, True, False]
    assert len(fits[1]["differences"]) == 1


RECIPE = """
method: {name: ties, density: 0.5}
base: base.safetensors
models:
  - a.safetensors
  - {path: b.safetensors, weight: 0.5}
rules:
  - {match: "head.*", method: {name: task-arithmetic, scale: 0.25}}
  - {role: embedding, copy: base}
layers: {density: [0.1, 0.4]}
output: {dtype: bfloat16}
seed: 7
"""


def test_explain_says_for_each_tensor_what_and_why(here: Path, cli: Run) -> None:
    (here / "r.yml").write_text(RECIPE)
    before = sorted(here.rglob("*"))
    done = cli("explain", "r.yml")
    assert done.code == 0
    rows = {row["tensor"]: row for row in cli("explain", "r.yml", "--json").json["tensors"]}
    assert set(rows) == set(load_file(A))
    assert [name for name in rows if name not in done.out] == []
    densities = [eval(rows[f"layers.{i}.q.weight"]["method"], {"Ties": Ties}) for i in (0, 1)]
    assert densities == [Ties(density=0.1), Ties(density=0.4)]
    assert rows["head.weight"]["method"] == "TaskArithmetic(scale=0.25)"
    assert rows["head.weight"]["weights"] == [1.0, 0.5]
    assert rows["head.weight"]["models"] == [A, B]
    assert "head.*" in rows["head.weight"]["rule"]
    assert rows["embed_tokens.weight"]["method"] == "copy"
    assert "embedding" in rows["embed_tokens.weight"]["rule"]
    assert rows["bn.num_batches_tracked"]["role"] == "counter"
    assert rows["head.weight"]["shape"] == [4, 8]
    assert all(row["rule"] for row in rows.values())
    assert sorted(here.rglob("*")) == before


def test_explain_from_within_a_model(here: Path, cli: Run, monkeypatch: Any) -> None:
    monkeypatch.chdir(here / "d")
    (here / "r.yml").write_text("method: average\nmodels: [., model.safetensors]\n")
    assert cli("explain", "../r.yml").code == 0


def test_run_carries_out_a_recipe(here: Path, cli: Run) -> None:
    (here / "r.yml").write_text(RECIPE)
    assert cli("run", "r.yml", "--out", "out").code == 0
    a, b, base = (load_file(name) for name in (A, B, BASE))
    found = merged()
    head = {"head.weight"}
    sums = [{n: m[n] for n in head} for m in (a, b, base)]
    expected = sp.merge(
        sums[:2],
        TaskArithmetic(scale=0.25),
        base=sums[2],
        weights=[1, 0.5],
        dtype="bfloat16",
    )
    assert torch.equal(found["head.weight"], expected["head.weight"])
    assert torch.equal(found["embed_tokens.weight"], base["embed_tokens.weight"].bfloat16())
    assert json.loads((here / "out" / "merge.json").read_text())["seed"] == 7


def test_flags_win_over_the_recipe(here: Path, cli: Run) -> None:
    (here / "r.yml").write_text(RECIPE)
    flags = ["--dtype", "float32", "--seed", "8", "--copy", "head.*=1", "--only", "head.*"]
    assert cli("run", "r.yml", "--out", "out", *flags).code == 0
    found = merged()
    assert torch.equal(found["head.weight"], load_file(B)["head.weight"])
    recipe = json.loads((here / "out" / "merge.json").read_text())["recipe"]
    assert (recipe["seed"], recipe["output"]["dtype"]) == (8, "float32")
    facts = cli("run", "r.yml", "--out", "dry", "--dry-run", "--json").json
    assert facts["out"] == "dry"
    assert not (here / "dry").exists()


def test_verify(here: Path, cli: Run) -> None:
    cli("merge", "average", A, B, "--out", "out")
    for flags in ([], ["--recompute"]):
        done = cli("verify", "out", *flags)
        assert done.code == 0
        assert "7 tensors" in done.out
        facts = cli("verify", "out", *flags, "--json").json
        assert facts["ok"] is True
        assert facts["problems"] == []
        assert "error" not in facts
    file = here / "out" / "model.safetensors"
    raw = file.read_bytes()
    file.write_bytes(raw[:-1] + bytes([raw[-1] ^ 255]))
    done = cli("verify", "out")
    assert done.code == 1
    assert done.out == ""
    assert "digest differs" in done.err
    facts = cli("verify", "out", "--json").json
    assert facts["ok"] is False
    assert facts["error"] == facts["problems"][0]
    missing = cli("verify", "nowhere", "--json")
    assert missing.code == 1
    assert "merge.json" in missing.json["error"]


def test_verify_without_digests_says_that_it_cannot_tell(here: Path, cli: Run) -> None:
    cli("merge", "average", A, B, "--out", "out", "--digest", "none")
    done = cli("verify", "out")
    assert (done.code, done.out) == (1, "")
    assert "cannot be told. verify --recompute compares" in done.err
    facts = cli("verify", "out", "--json").json
    assert (facts["ok"], facts["problems"]) == (False, [])
    assert facts["error"] == facts["unverifiable"][0]
    assert cli("verify", "out", "--recompute").code == 0


def test_verify_finds_inputs_that_were_moved(here: Path, cli: Run) -> None:
    cli("merge", "average", A, B, "--out", "out")
    (here / "moved").mkdir()
    for name in (A, B):
        (here / name).rename(here / "moved" / name)
    done = cli("verify", "out", "--recompute")
    assert done.code == 1
    assert "pass --inputs DIR, the folder in which" in done.err
    assert cli("verify", "out", "--recompute", "--inputs", "moved").code == 0
    assert cli("verify", "out", "--inputs", "moved").code == 2


def test_a_tensor_that_the_format_cannot_name_is_refused_before_the_work(
    here: Path, cli: Run
) -> None:
    torch.save({"__metadata__": torch.ones(2), "w": torch.ones(2)}, "m.pt")
    done = cli("merge", "average", "m.pt", "m.pt", "--out", "named")
    assert done.code == 1
    assert "a tensor is called '__metadata__'" in done.err
    assert not list(here.glob("named*"))


def test_version_and_help(cli: Run) -> None:
    assert cli("--version").out.strip() == version("stockpot")
    done = cli("--help")
    assert done.code == 0
    for command in ("merge", "run", "methods", "inspect", "explain", "verify"):
        assert command in done.out
        assert cli(command, "--help").code == 0
    assert [name for name in NAMES if name not in cli("merge", "--help").out] == []
    assert cli().out == done.out


def test_brackets_in_names_are_shown_as_they_are(here: Path, cli: Run) -> None:
    save_file({"w[bold].weight": torch.ones(2, 2)}, "x[red].safetensors")
    done = cli("inspect", "x[red].safetensors", "--tensors")
    assert "x[red].safetensors" in done.out
    assert "w[bold].weight" in done.out
