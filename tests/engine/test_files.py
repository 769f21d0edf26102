"""Merging files into files: the bits of a merge in memory, and everything that lies beside them."""

import hashlib
import json
import math
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import blake3
import pytest
import torch
import yaml
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

import stockpot as sp
from stockpot.checkpoints.entry import Checkpoint
from stockpot.checkpoints.sampling import ELEMENTS, TENSORS
from stockpot.checkpoints.source import FileSource
from stockpot.engine import merge as engine_merge
from stockpot.engine import prepare
from stockpot.engine.merge import run_recipe
from stockpot.engine.options import Options
from stockpot.errors import CheckpointError, FieldError, MergeError, NonFiniteError, OutputError
from stockpot.methods import (
    Average,
    Dare,
    Interpolate,
    Median,
    ModelStock,
    Slerp,
    TaskArithmetic,
    Ties,
)
from stockpot.recipes.reading.recipe import parse_recipe
from stockpot.views import View, open_model

Tree = Callable[[Path], dict[str, bytes]]
Make = Callable[..., dict[str, Any]]
METHODS = [
    Average(),
    Median(),
    Interpolate(t=0.3),
    Slerp(t=0.3),
    TaskArithmetic(scale=0.4),
    Ties(density=0.3, trim="model"),
    Ties(density=0.3, trim="tensor"),
    Dare(density=0.4),
    Dare(density=0.4, rescale="norm"),
    ModelStock(),
]
FLOATS = (
    torch.float64,
    torch.float32,
    torch.float16,
    torch.bfloat16,
    torch.float8_e4m3fn,
    torch.float8_e5m2,
)
INTEGERS = (torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8)


def merge(plain: dict[str, Any], out: Path, **options: Any) -> Any:
    return run_recipe(parse_recipe(plain), out, Options(**options))


def mixture(seed: int) -> dict[str, Tensor]:
    """Tensors of every dtype, of no dimension and of no element, small and of several blocks."""
    generator = torch.Generator().manual_seed(seed)
    found: dict[str, Tensor] = {}
    for dtype in FLOATS:
        name = str(dtype).removeprefix("torch.")
        for leaf, shape in (("weight", (40, 30)), ("bias", (7,)), ("gain", ()), ("none", (0, 3))):
            values = torch.randn(shape, generator=generator).clamp(-2, 2)
            found[f"{name}.{leaf}"] = values.to(dtype)
    found["large.weight"] = torch.randn(500, 500, generator=generator)
    found["large16.weight"] = torch.randn(400, 400, generator=generator).bfloat16()
    for dtype in INTEGERS:
        found[f"{str(dtype).removeprefix('torch.')}.ids"] = torch.arange(5).to(dtype) + seed
    return found | {
        "mask": torch.tensor([True, False]),
        "n.num_batches_tracked": torch.tensor(seed),
    }


def same(one: dict[str, Tensor], other: dict[str, Tensor]) -> None:
    assert set(one) == set(other)
    for name, tensor in one.items():
        assert tensor.dtype == other[name].dtype, name
        assert tensor.shape == other[name].shape, name
        raw = [t.reshape(-1).view(torch.uint8) for t in (tensor, other[name])]
        assert torch.equal(*raw), name


@pytest.mark.parametrize("method", METHODS, ids=str)
@pytest.mark.parametrize("how", [{}, {"memory": "1MiB", "workers": 3}], ids=["roomy", "tight"])
def test_files_hold_what_a_merge_in_memory_gives(
    method: Any, how: dict[str, Any], tmp_path: Path
) -> None:
    count = 2 if method.needs.models[1] == 2 else 3
    states = [mixture(k) for k in range(count + 1)]
    for k, state in enumerate(states):
        save_file(state, tmp_path / f"{k}.safetensors")
    paths = [tmp_path / f"{k}.safetensors" for k in range(count + 1)]
    base = (states[0], paths[0]) if method.needs.base else (None, None)
    sp.merge_to(tmp_path / "out", paths[1:], method, base=base[1], seed=5, **how)
    in_memory = sp.merge(states[1:], method, base=base[0], seed=5)
    same(load_file(tmp_path / "out" / "model.safetensors"), in_memory)
    same(sp.merge(paths[1:], method, base=base[1], seed=5, **how), in_memory)
    with safe_open(tmp_path / "out" / "model.safetensors", "pt") as file:
        assert file.metadata()["format"] == "pt"
        assert json.loads(file.metadata()["stockpot"])["seed"] == 5


def test_files_merge_into_memory_beside_state_dicts(tmp_path: Path) -> None:
    states = [mixture(k) for k in range(2)]
    save_file(states[0], tmp_path / "0.safetensors")
    same(
        sp.merge([str(tmp_path / "0.safetensors"), states[1]], Average()),
        sp.merge(states, Average()),
    )
    with pytest.raises(CheckpointError, match="does not exist"):
        sp.merge([tmp_path / "none.safetensors"], Average())
    assert [path.name for path in tmp_path.iterdir()] == ["0.safetensors"]


def test_a_file_that_changes_while_it_is_merged_into_memory_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "0.safetensors"
    save_file(mixture(0), path)
    execute = engine_merge.Run.execute

    def change(run: Any) -> None:
        execute(run)
        save_file(mixture(1), path)

    monkeypatch.setattr(engine_merge.Run, "execute", change)
    with pytest.raises(MergeError, match="changed while it was being merged"):
        sp.merge([path], Average())


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
def test_the_output_dtype_is_that_of_a_merge_in_memory(dtype: Any, tmp_path: Path) -> None:
    states = [mixture(k) for k in range(2)]
    for k, state in enumerate(states):
        save_file(state, tmp_path / f"{k}.safetensors")
    paths = [tmp_path / f"{k}.safetensors" for k in range(2)]
    sp.merge_to(tmp_path / "out.safetensors", paths, Average(), dtype=dtype)
    merged = load_file(tmp_path / "out.safetensors")
    same(merged, sp.merge(states, Average(), dtype=dtype))
    floats = {t.dtype for t in merged.values() if t.dtype.is_floating_point}
    assert floats == {getattr(torch, dtype)}


def test_a_torch_file_and_a_sharded_directory_are_inputs(tmp_path: Path) -> None:
    states = [mixture(k) for k in range(2)]
    torch.save({"state_dict": states[0]}, tmp_path / "a.ckpt")
    save_file(states[1], tmp_path / "b.safetensors")
    paths = [tmp_path / "b.safetensors"]
    sp.merge_to(tmp_path / "sharded", paths, Average(), shard_size=100_000)
    assert (tmp_path / "sharded" / "model.safetensors.index.json").exists()
    sp.merge_to(tmp_path / "out", [tmp_path / "a.ckpt", tmp_path / "sharded"], Average())
    same(load_file(tmp_path / "out" / "model.safetensors"), sp.merge(states, Average()))


def test_two_runs_give_identical_trees(recipe: Make, tree: Tree, tmp_path: Path) -> None:
    plain = recipe({"name": "ties", "density": 0.3}, output={"shard_size": 300_000})
    for name, how in {
        "one": {"workers": 1},
        "two": {"workers": 3, "memory": "1MiB"},
        "three": {"memory": "1GiB"},
    }.items():
        merge(plain, tmp_path / name / "out", **how)
    one = tree(tmp_path / "one" / "out")
    assert tree(tmp_path / "two" / "out") == one
    assert tree(tmp_path / "three" / "out") == one


@pytest.mark.parametrize("size", [1, 20_000, 300_000, 10**9])
def test_shards_are_the_hubs_layout(size: int, recipe: Make, tmp_path: Path) -> None:
    merge(recipe(output={"shard_size": size}), tmp_path / "out")
    whole = sp_state(recipe())
    shards = sorted((tmp_path / "out").glob("*.safetensors"))
    if len(shards) == 1:
        assert shards[0].name == "model.safetensors"
        assert not (tmp_path / "out" / "model.safetensors.index.json").exists()
        return
    index = json.loads((tmp_path / "out" / "model.safetensors.index.json").read_text())
    assert [s.name for s in shards] == [
        f"model-{i:05d}-of-{len(shards):05d}.safetensors" for i in range(1, len(shards) + 1)
    ]
    found: dict[str, Tensor] = {}
    for shard in shards:
        tensors = load_file(shard)
        assert {index["weight_map"][name] for name in tensors} == {shard.name}
        assert len(tensors) == 1 or sum(t.nbytes for t in tensors.values()) <= size
        found |= tensors
    same(found, whole)
    assert index["metadata"]["total_size"] == sum(t.nbytes for t in whole.values())


def sp_state(plain: dict[str, Any]) -> dict[str, Tensor]:
    models = [load_file(Path(p) / "model.safetensors") for p in plain["models"]]
    return sp.merge(models, Average())


def test_the_manifest_says_what_was_done(recipe: Make, family: Path, tmp_path: Path) -> None:
    plain = recipe(
        {"name": "ties", "density": 0.3},
        models=[{"path": str(family / "a"), "weight": 0.5}, str(family / "b")],
        rules=[{"match": "layers.1.*", "copy": "base"}],
        output={"shard_size": 300_000},
        seed=3,
    )
    merge(plain, tmp_path / "out", digest="sha256")
    manifest = json.loads((tmp_path / "out" / "merge.json").read_text())
    named = plain | {"models": [{"path": "a", "weight": 0.5}, "b"], "base": "base"}
    assert parse_recipe(manifest["recipe"]) == parse_recipe(named)
    assert manifest["seed"] == 3
    assert manifest["versions"]["torch"] == torch.__version__
    assert manifest["versions"]["safetensors"]
    assert manifest["stockpot"]
    assert manifest["notes"] is not None
    assert eval(manifest["methods"][0], {"Ties": Ties}) == Ties(density=0.3)
    assert [i["name"] for i in manifest["inputs"]] == ["a", "b", "base"]
    files = manifest["output"]["files"]
    shards = sorted((tmp_path / "out").glob("*.safetensors"))
    assert [f["name"] for f in files] == [s.name for s in shards]
    for file, shard in zip(files, shards, strict=True):
        raw = shard.read_bytes()
        start = 8 + int.from_bytes(raw[:8], "little")
        assert file["bytes"] == len(raw)
        assert file["header"] == blake3.blake3(raw[:start]).hexdigest()
        assert file["sha256"] == hashlib.sha256(raw).hexdigest()
        for name, info in json.loads(raw[8:start]).items():
            if name != "__metadata__":
                begin, end = info["data_offsets"]
                content = raw[start + begin : start + end]
                told = manifest["tensors"].pop(name)
                assert told["digest"] == blake3.blake3(content).hexdigest()
                check_inputs(name, told, family)
    assert manifest["tensors"] == {}
    assert manifest["output"]["bytes"] == sum(s.stat().st_size for s in shards)
    (settled,) = manifest["settled"]
    assert settled["models"] == [0, 1]
    assert len(settled["threshold"]) == 2


def check_inputs(name: str, told: dict[str, Any], family: Path) -> None:
    """The digests of a tensor's inputs, its role, rule and weights."""
    copied = name.startswith("layers.1.") or name == "bn.num_batches_tracked"
    order = ["base"] if copied else ["a", "b", "base"]
    for (owner, digest), model in zip(told["from"], order, strict=True):
        assert ["a", "b", "base"][owner] == model
        tensor = load_file(family / model / "model.safetensors")[name]
        raw = tensor.reshape(-1).view(torch.uint8).numpy().tobytes()
        assert digest == blake3.blake3(raw).hexdigest()
    assert ("weights" in told) != copied
    if not copied:
        assert told["weights"] == [0.5, 1.0]
    if name.startswith("layers.1."):
        assert "layers.1.*" in told["rule"]
    roles = {"embed_tokens.weight": "embedding", "bn.num_batches_tracked": "counter"}
    assert told["role"] == roles.get(name, "vector" if "norm" in name else "matrix")


def test_inputs_in_the_manifest(recipe: Make, family: Path, tmp_path: Path) -> None:
    merge(recipe(), tmp_path / "out")
    for told in json.loads((tmp_path / "out" / "merge.json").read_text())["inputs"]:
        raw = (tmp_path / "out" / told["path"] / "model.safetensors").read_bytes()
        length = int.from_bytes(raw[:8], "little")
        (file,) = told["files"]
        assert file["name"] == "model.safetensors"
        assert file["bytes"] == len(raw)
        assert file["header"] == blake3.blake3(raw[8 : 8 + length]).hexdigest()
        assert told["bytes"] == len(raw) - 8 - length


def test_the_same_model_twice_is_one_input(family: Path, tmp_path: Path) -> None:
    merge({"method": "average", "models": [str(family / "a")] * 2}, tmp_path / "out")
    manifest = json.loads((tmp_path / "out" / "merge.json").read_text())
    assert len(manifest["inputs"]) == 1
    same(
        load_file(tmp_path / "out" / "model.safetensors"),
        load_file(family / "a" / "model.safetensors"),
    )


def test_digests_can_be_switched_off(recipe: Make, tmp_path: Path) -> None:
    merge(recipe(), tmp_path / "out", digest="none")
    manifest = json.loads((tmp_path / "out" / "merge.json").read_text())
    assert {t["digest"] for t in manifest["tensors"].values()} == {None}
    assert "sha256" not in manifest["output"]["files"][0]


def test_what_lies_beside_the_first_model_goes_with_the_output_and_nothing_else(
    family: Path, tmp_path: Path
) -> None:
    models = tmp_path / "models"
    shutil.copytree(family, models)
    (models / "a" / "config.json").write_text('{"from": "a", "torch_dtype": "float32"}')
    for name, content in {
        "vocab.txt": "a",
        "spiece.model": "b",
        "chat_template.jinja": "c",
        "modeling.py": "no configuration names it",
        "photo.png": "e",
        "old.safetensors.index.json": "{}",
        "x.safetensors.merge.json": "{}",
        "merge.json": "{}",
        "training_args.bin": "f",
    }.items():
        (models / "a" / name).write_text(content)
    plain = {
        "method": "task-arithmetic",
        "models": [str(models / "a"), str(models / "b")],
        "base": str(models / "base"),
    }
    merge(plain, tmp_path / "out")
    assert {p.name for p in (tmp_path / "out").iterdir()} == {
        "model.safetensors", "merge.json", "README.md", "config.json", "tokenizer.json",
        "vocab.txt", "spiece.model", "chat_template.jinja",
    }  # fmt: skip
    assert json.loads((tmp_path / "out" / "config.json").read_text())["from"] == "a"
    assert "own card" not in (tmp_path / "out" / "README.md").read_text()
    assert json.loads((tmp_path / "out" / "merge.json").read_text())["stockpot"]


def test_config_says_the_dtype_that_was_written(recipe: Make, tmp_path: Path) -> None:
    merge(recipe(output={"dtype": "bfloat16"}), tmp_path / "out")
    config = json.loads((tmp_path / "out" / "config.json").read_text())
    assert config["torch_dtype"] == "bfloat16"
    assert config["model_type"] == "tiny"
    merge(recipe(), tmp_path / "same")
    assert json.loads((tmp_path / "same" / "config.json").read_text())["torch_dtype"] == "float32"


def test_config_says_the_dtype_of_weights_wider_than_it_claims(
    family: Path, tmp_path: Path
) -> None:
    models = tmp_path / "models"
    shutil.copytree(family, models)
    (models / "a" / "config.json").write_text('{"torch_dtype": "bfloat16", "b": 1}')
    plain = {"method": "average", "models": [str(models / "a")], "base": str(models / "base")}
    merge(plain, tmp_path / "out")
    config = json.loads((tmp_path / "out" / "config.json").read_text())
    assert config == {"torch_dtype": "float32", "b": 1}


def test_the_model_card(recipe: Make, family: Path, tmp_path: Path) -> None:
    merge(recipe({"name": "ties", "density": 0.3}), tmp_path / "my-merge")
    text = (tmp_path / "my-merge" / "README.md").read_text()
    front, body = text.removeprefix("---\n").split("\n---\n", 1)
    metadata = yaml.safe_load(front)
    assert metadata["base_model"] == ["a", "b", "c", "base"]
    assert metadata["base_model_relation"] == "merge"
    assert metadata["library_name"] == "transformers"
    assert "merge" in metadata["tags"]
    assert "# my-merge" in body
    assert "Ties(density=0.3" in body
    written = yaml.safe_load(body.split("```yaml\n")[1].split("```")[0])
    named = {"models": ["a", "b", "c"], "base": "base"}
    assert parse_recipe(written) == parse_recipe(recipe({"name": "ties", "density": 0.3}, **named))


def test_a_file_has_its_sidecar_and_nothing_else(recipe: Make, tmp_path: Path) -> None:
    merge(recipe(), tmp_path / "out.safetensors")
    names = {p.name for p in tmp_path.iterdir()}
    assert names == {"out.safetensors", "out.safetensors.merge.json"}


def test_names_of_the_world(tmp_path: Path) -> None:
    folder = tmp_path / "ü 模型 😀 'q' \"d\" [x]"
    folder.mkdir()
    save_file({'wé\n"😀': torch.ones(3)}, folder / "m.safetensors")
    sp.merge_to(folder / "out", [folder / "m.safetensors"] * 2, Average())
    assert sp_verify(folder / "out") == ()
    front = (folder / "out" / "README.md").read_text().split("---\n")[1]
    assert yaml.safe_load(front)["base_model"] == ["m.safetensors"]


def test_inputs_named_in_other_ways_give_the_same_bytes(
    family: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "alias").symlink_to(family / "a")
    monkeypatch.chdir(family)
    ways = {
        "absolute": [str(family / "a"), str(family / "b")],
        "relative": ["a", "b"],
        "slashes": ["./a/", f"{family}/a/../b//"],
        "link": [str(tmp_path / "alias"), "b"],
    }
    made = []
    for way, models in ways.items():
        out = tmp_path / way / "out"
        rules = [{"match": "layers.1.*", "copy": models[1]}]
        merge({"method": "average", "models": models, "rules": rules}, out)
        made.append({file.name: file.read_bytes() for file in out.iterdir()})
        for content in made[-1].values():
            assert str(family).encode() not in content
            assert str(tmp_path).encode() not in content
        assert sp_verify(out) == ()
    assert all(files == made[0] for files in made)


def test_the_notes_of_a_manifest_call_inputs_by_their_names(tmp_path: Path) -> None:
    for k, name in enumerate("ab"):
        state = {f"module.{n}": torch.full((3,), float(k)) for n in ("v", "w")}
        torch.save(state, tmp_path / f"{name}.pt")
    sp.merge_to(tmp_path / "out", [tmp_path / "a.pt", tmp_path / "b.pt"], Average())
    manifest = json.loads((tmp_path / "out" / "merge.json").read_text())
    notes = [note for told in manifest["inputs"] for note in told["notes"]]
    assert notes == [f"{name}.pt: took the prefix 'module.' off all names." for name in "ab"]
    assert [told["path"] for told in manifest["inputs"]] == ["../a.pt", "../b.pt"]


def sp_verify(out: Path) -> tuple[str, ...]:
    from stockpot.engine.verify import verify

    return verify(out, recompute=True).problems


COUNTED = [
    (Average(), 1),
    (TaskArithmetic(scale=0.3), 1),
    (Dare(), 1),
    (ModelStock(), 1),
    (Ties(density=0.3, trim="tensor"), 1),
    (Ties(density=0.3, trim="model"), 2),
]


@pytest.mark.parametrize(("method", "passes"), COUNTED, ids=str)
def test_every_byte_is_read_as_often_as_the_plan_says(
    method: Any, passes: int, family: Path, tmp_path: Path, monkeypatch: Any
) -> None:
    counted = [0]
    inner = FileSource.read_into

    def read_into(source: FileSource, buffer: memoryview, offset: int) -> None:
        counted[0] += len(buffer)
        inner(source, buffer, offset)

    monkeypatch.setattr(FileSource, "read_into", read_into)
    base = family / "base" if method.needs.base else None
    paths = [family / n for n in "abc"]
    merged = sp.merge_to(tmp_path / "out", paths, method, base=base, workers=1)
    rows = 3 + (base is not None)
    state = load_file(family / "a" / "model.safetensors")
    floats = sum(t.nbytes for t in state.values() if t.is_floating_point())
    one = floats * rows + 8  # the counter is copied
    assert merged.bytes_written == floats + 8
    assert merged.bytes_read == one + floats * rows * (passes - 1)
    headers = 4 * 40_000
    sample = 0.2 * floats * rows if passes == 2 else 0
    around = 4 * ELEMENTS * TENSORS * rows if base else 0  # whether the base is theirs
    most = merged.bytes_read + headers + sample + around
    assert merged.bytes_read <= counted[0] <= most
    if base:
        assert counted[0] < 1.2 * merged.bytes_read + sample


MEMORY = """
import json, resource, sys
import torch, stockpot as sp
from stockpot.methods import Average, ModelStock, Ties
def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
folder, peaks = sys.argv[1], [peak()]
paths = [f"{folder}/{n}.safetensors" for n in "abc"]
for method in (Average(), ModelStock(), Ties(), Ties(trim="tensor")):
    base = paths[0] if method.needs.base else None
    sp.merge_to(f"{folder}/out{len(peaks)}", paths, method, base=base, memory="16MiB", workers=2)
    peaks.append(peak())
print(json.dumps(peaks))
"""


def test_memory_stays_within_the_budget(tmp_path: Path) -> None:
    """One tensor of 48 MiB in each of three models, and a budget of 16 MiB."""
    large = torch.linspace(-1, 1, 12 * 2**20).reshape(3072, 4096)
    for k, name in enumerate("abc"):
        save_file({"w.weight": large.roll(k) * (1 + k)}, tmp_path / f"{name}.safetensors")
    done = subprocess.run(
        [sys.executable, "-c", MEMORY, str(tmp_path)], capture_output=True, text=True, check=True
    )
    imported, *peaks = json.loads(done.stdout)
    allowance = 24 * 2**20  # thread stacks, the allocator, code that importing did not touch
    assert [p - imported for p in peaks if p - imported > 16 * 2**20 + allowance] == []


def test_wrong_options_are_refused() -> None:
    for wrong in ({"memory": "1kB"}, {"workers": 0}, {"digest": "md5"}, {"device": "gpu"}):
        with pytest.raises(FieldError, match=next(iter(wrong))):
            Options(**wrong)  # type: ignore[arg-type]


def test_arguments_of_merge_to(family: Path, tmp_path: Path) -> None:
    with pytest.raises(MergeError, match="no model"):
        sp.merge_to(tmp_path / "out", [], Average())
    with pytest.raises(MergeError, match="2 weights for 1 model"):
        sp.merge_to(tmp_path / "out", [family / "a"], Average(), weights=[1, 2])
    with pytest.raises(FieldError, match="weight"):
        sp.merge_to(tmp_path / "out", [family / "a"], Average(), weights=[math.nan])
    with pytest.raises(OutputError, match=r"outputs are safetensors"):
        sp.merge_to(tmp_path / "out.pt", [family / "a"], Average())
    assert list(tmp_path.iterdir()) == []


def test_only_and_missing(family: Path, tmp_path: Path) -> None:
    a, base = (load_file(family / n / "model.safetensors") for n in ("a", "base"))
    lacking = {n: t for n, t in a.items() if n != "layers.2.q.weight"}
    save_file(lacking, tmp_path / "lacking.safetensors")
    models = [tmp_path / "lacking.safetensors", family / "b"]
    with pytest.raises(MergeError, match=r"'layers\.2\.q\.weight' is missing from .*lacking"):
        sp.merge_to(tmp_path / "out", models, Average())
    sp.merge_to(
        tmp_path / "out",
        models,
        Average(),
        base=family / "base",
        missing="base",
        only=["layers.2.*", "layers.3.*"],
    )
    merged = load_file(tmp_path / "out" / "model.safetensors")
    b = load_file(family / "b" / "model.safetensors")
    name = "layers.2.q.weight"
    assert torch.equal(
        merged[name], sp.merge([{name: base[name]}, {name: b[name]}], Average())[name]
    )
    assert torch.equal(merged["embed_tokens.weight"], base["embed_tokens.weight"])
    sp.merge_to(tmp_path / "present", models, Average(), missing="present")
    assert torch.equal(load_file(tmp_path / "present" / "model.safetensors")[name], b[name])


@pytest.fixture
def renamed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Checkpoints call their tensors otherwise than their files do."""

    def read(path: str, views: Sequence[View], **options: Any) -> Checkpoint:
        found = open_model(path, views, **options)
        return replace(found, entries={f"new.{n}": e for n, e in found.entries.items()})

    monkeypatch.setattr(prepare, "open_model", read)


@pytest.mark.usefixtures("renamed")
def test_whose_a_tensor_is_does_not_hang_on_its_name_in_its_file(tmp_path: Path) -> None:
    for k, label in enumerate("ab"):
        state = {"x": torch.full((4,), float(k)), "n.num_batches_tracked": torch.tensor(k)}
        save_file(state, tmp_path / f"{label}.safetensors")
    models = [tmp_path / "a.safetensors", tmp_path / "b.safetensors"]
    sp.merge_to(tmp_path / "out", models, Average())
    told = json.loads((tmp_path / "out" / "merge.json").read_text())["tensors"]
    assert [origin for origin, _ in told["new.x"]["from"]] == [0, 1]
    assert [origin for origin, _ in told["new.n.num_batches_tracked"]["from"]] == [0]
    merged = load_file(tmp_path / "out" / "model.safetensors")
    assert torch.equal(merged["new.x"], torch.full((4,), 0.5))


@pytest.mark.usefixtures("renamed")
@pytest.mark.parametrize("name", ["merged", "copied"])
def test_whose_a_tensor_is_that_is_not_finite_is_told_by_its_new_name(
    tmp_path: Path, name: str
) -> None:
    for label, value in (("a", 1.0), ("b", math.inf)):
        state = {n: torch.ones(4) for n in ("merged", "copied")} | {name: torch.full((4,), value)}
        save_file(state, tmp_path / f"{label}.safetensors")
    models = [tmp_path / "b.safetensors", tmp_path / "a.safetensors"]
    with pytest.raises(NonFiniteError, match=rf"'new.{name}' in .*b\.safetensors holds NaN"):
        sp.merge_to(tmp_path / "out", models, Average(), only=("new.merged",))
