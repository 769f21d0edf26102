"""`verify` says what is wrong with an output, and names it."""

import json
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import blake3
import pytest
import torch
from safetensors.torch import load_file, save_file

import stockpot as sp
from stockpot.checkpoints.writing.manifest import manifest_text
from stockpot.engine.verify import verify
from stockpot.errors import OutputError
from stockpot.methods import Average, Ties

Change = Callable[[Path], None]


@pytest.fixture
def models(tmp_path: Path) -> list[Path]:
    for k, name in enumerate("ab"):
        generator = torch.Generator().manual_seed(k)
        tensors = {f"w{i}": torch.randn(50, 60, generator=generator) for i in range(6)}
        tensors |= {"empty": torch.zeros(0, 2), "none": torch.tensor(2.0), "ids": torch.arange(4)}
        save_file(tensors, tmp_path / f"{name}.safetensors")
    return [tmp_path / f"{name}.safetensors" for name in "ab"]


@pytest.fixture(params=["one file", "directory", "shards"])
def output(request: pytest.FixtureRequest, models: list[Path], tmp_path: Path) -> Path:
    out = tmp_path / ("out.safetensors" if request.param == "one file" else "out")
    size = 30_000 if request.param == "shards" else "5GB"
    sp.merge_to(out, models, Average(), shard_size=size)
    return out


def weights(output: Path) -> list[Path]:
    return [output] if output.is_file() else sorted(output.glob("*.safetensors"))


def place(output: Path, name: str) -> tuple[Path, int, int]:
    """The file of a tensor, and where its bytes begin and end."""
    for file in weights(output):
        raw = file.read_bytes()
        start = 8 + int.from_bytes(raw[:8], "little")
        header = json.loads(raw[8:start])
        if name in header:
            begin, end = header[name]["data_offsets"]
            return file, start + begin, start + end
    raise AssertionError(name)


def put(file: Path, at: int, content: bytes) -> None:
    with file.open("r+b") as handle:
        handle.seek(at)
        handle.write(content)


def manifest(output: Path) -> Path:
    sidecar = output.with_name(output.name + ".merge.json")
    return sidecar if output.is_file() else output / "merge.json"


def told(output: Path) -> dict[str, Any]:
    return json.loads(manifest(output).read_text())


def tell(output: Path, data: dict[str, Any]) -> None:
    """Write a manifest with a seal that fits, as somebody who knows how would."""
    rest = {key: value for key, value in data.items() if key not in ("format", "seal")}
    manifest(output).write_text(manifest_text(rest), encoding="utf8")


def test_an_output_is_what_its_manifest_says(output: Path) -> None:
    found = verify(output)
    assert found.problems == ()
    assert found.tensors == 9
    assert found.bytes == 6 * 50 * 60 * 4 + 4 + 4 * 8
    assert verify(output, recompute=True).problems == ()


@pytest.mark.parametrize("name", ["w0", "w5", "none", "ids"])
@pytest.mark.parametrize("end", ["first", "last"])
def test_a_flipped_bit_names_its_tensor(name: str, end: str, output: Path) -> None:
    file, begin, stop = place(output, name)
    at = begin if end == "first" else stop - 1
    put(file, at, bytes([file.read_bytes()[at] ^ 1]))
    (problem,) = verify(output).problems
    assert f"'{name}'" in problem
    assert "digest" in problem


def test_a_truncated_file(output: Path) -> None:
    file = weights(output)[-1]
    file.write_bytes(file.read_bytes()[:-5])
    (problem,) = verify(output).problems
    assert file.name in problem
    assert "bytes" in problem


def test_a_file_that_grew(output: Path) -> None:
    file = weights(output)[0]
    file.write_bytes(file.read_bytes() + b"x")
    assert file.name in verify(output).problems[0]


def test_a_missing_file(output: Path) -> None:
    file = weights(output)[-1]
    file.unlink()
    (problem,) = verify(output).problems
    assert problem == f"{file.name} is missing."


def test_an_altered_header(output: Path) -> None:
    file = weights(output)[0]
    raw = file.read_bytes()
    where = raw.index(b'"format":"pt"') + len(b'"format":"p')
    put(file, where, b"x")
    (problem,) = verify(output).problems
    assert "header" in problem
    assert file.name in problem


def test_a_missing_index(models: list[Path], tmp_path: Path) -> None:
    sp.merge_to(tmp_path / "out", models, Average(), shard_size=30_000)
    (tmp_path / "out" / "model.safetensors.index.json").unlink()
    (problem,) = verify(tmp_path / "out").problems
    assert "index" in problem


@pytest.mark.parametrize("value", [torch.nan, torch.inf, -torch.inf])
def test_a_value_that_is_not_finite_is_named_though_the_digest_fits(
    value: float, output: Path
) -> None:
    file, begin, stop = place(output, "w3")
    put(file, begin + 400, torch.tensor([value]).numpy().tobytes())
    content = file.read_bytes()[begin:stop]
    data = told(output)
    data["tensors"]["w3"]["digest"] = blake3.blake3(content).hexdigest()
    tell(output, data)
    (problem,) = verify(output).problems
    assert problem == "'w3' holds NaN or infinity."


@pytest.mark.parametrize("which", ["extra", "missing"])
def test_tensors_that_do_not_match_the_manifest(which: str, output: Path) -> None:
    data = told(output)
    if which == "extra":
        del data["tensors"]["w2"]
        words = "'w2' is there but not in the manifest."
    else:
        data["tensors"]["ghost"] = data["tensors"]["w2"]
        words = "'ghost' is missing."
    tell(output, data)
    assert verify(output).problems == (words,)


def test_an_extra_tensor_in_the_file(models: list[Path], tmp_path: Path) -> None:
    out = tmp_path / "out.safetensors"
    sp.merge_to(out, models, Average())
    save_file(load_file(out) | {"extra": torch.ones(3)}, out)
    assert len(verify(out).problems) == 1


def test_only_a_recompute_finds_what_was_altered_with_its_digest(output: Path) -> None:
    file, begin, stop = place(output, "w4")
    put(file, begin, torch.tensor([0.25]).numpy().tobytes())
    data = told(output)
    content = file.read_bytes()[begin:stop]
    data["tensors"]["w4"]["digest"] = blake3.blake3(content).hexdigest()
    tell(output, data)
    assert verify(output).problems == ()
    name = manifest(output).name
    assert verify(output, recompute=True).problems == (
        "'w4' differs from the repeated merge.",
        f"{name} tells of 'w4' another digest or merge than the repeated one.",
    )


def test_a_recompute_finds_an_input_that_changed(output: Path, models: list[Path]) -> None:
    tensors = load_file(models[0])
    tensors["w1"] += 1
    save_file(tensors, models[0])
    assert verify(output).problems == ()
    assert verify(output, recompute=True).problems == (
        "'w1' differs from the repeated merge.",
        f"{manifest(output).name} has other digests of 'w1' of the input a.safetensors.",
        f"{manifest(output).name} tells of 'w1' another digest or merge than the repeated one.",
    )


def test_a_recompute_without_its_inputs_says_so(output: Path, models: list[Path]) -> None:
    models[0].unlink()
    assert verify(output).problems == ()
    with pytest.raises(OutputError, match=r"cannot be repeated: .*a\.safetensors does not exist"):
        verify(output, recompute=True)


def test_a_recompute_of_a_seeded_method_with_a_key_and_a_survey(tmp_path: Path) -> None:
    for k, name in enumerate(("base", "a", "b")):
        weights = torch.randn(300, 300, generator=torch.Generator().manual_seed(k))
        torch.save({"ema": {"w": weights}, "net": {"w": weights * 2}}, tmp_path / f"{name}.pt")
    for method in (Ties(density=0.1), sp_dare()):
        out = tmp_path / type(method).__name__
        paths = [tmp_path / "a.pt", tmp_path / "b.pt"]
        sp.merge_to(out, paths, method, base=tmp_path / "base.pt", key="ema", seed=9)
        assert verify(out, recompute=True).problems == ()


def sp_dare() -> Any:
    from stockpot.methods import Dare

    return Dare(density=0.3)


def test_a_recompute_does_not_mind_what_lies_beside(
    models: list[Path], tmp_path: Path, monkeypatch: Any
) -> None:
    (tmp_path / "recomputed").mkdir()
    inside = tmp_path / "recomputed" / "model.safetensors"
    save_file(load_file(models[0]), inside)
    sp.merge_to(tmp_path / "out", [tmp_path / "recomputed", models[1]], Average())
    assert verify(tmp_path / "out", recompute=True).problems == ()
    inside.touch()
    monkeypatch.chdir(tmp_path / "recomputed")
    assert verify(tmp_path / "out", recompute=True).problems == ()


def test_without_digests_sizes_headers_and_finiteness_remain(
    models: list[Path], tmp_path: Path
) -> None:
    out = tmp_path / "out"
    sp.merge_to(out, models, Average(), digest="none")
    found = verify(out)
    assert found.problems == ()
    assert "--digest none" in found.unverifiable[0]
    assert not found.ok
    assert verify(out, recompute=True).ok
    file, begin, _ = place(out, "w1")
    put(file, begin, torch.tensor([torch.nan]).numpy().tobytes())
    assert verify(out).problems == ("'w1' holds NaN or infinity.",)


def test_what_is_no_output(models: list[Path], tmp_path: Path) -> None:
    for path in (models[0], tmp_path / "nowhere", tmp_path):
        with pytest.raises(OutputError, match=r"not an output of stockpot"):
            verify(path)


@pytest.mark.parametrize(
    "text",
    [
        "", "{", "[]", "null", "1", '{"format": 1}', '{"format": 2}', '{"format": 1, "output": []}',
        '{"format": 1, "output": {"files": [3]}, "tensors": {}}',
        '{"format": 1, "output": {"files": []}, "tensors": {"w": 1}}',
        '{"format": 1, "output": {"files": [{"name": "../x", "bytes": 1, "header": ""}]},'
        ' "tensors": {}, "recipe": {}, "fingerprint": "", "device": "cpu", "key": null}',
        "[" * 100_000,
    ],
)  # fmt: skip
def test_a_damaged_manifest_is_an_error_in_words(text: str, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "merge.json").write_text(text)
    with pytest.raises(OutputError, match=r"merge\.json"):
        verify(tmp_path / "out")


def test_a_recipe_that_was_damaged_is_an_error_in_words(output: Path) -> None:
    data = told(output)
    data["recipe"]["method"] = "averge"
    tell(output, data)
    with pytest.raises(OutputError, match=r"cannot be repeated.*average"):
        verify(output, recompute=True)


def test_progress_reaches_the_end(output: Path) -> None:
    seen: list[tuple[str, float]] = []
    verify(output, progress=lambda what, share: seen.append((what, share)))
    assert seen[-1] == ("72.0 kB of 72.0 kB", 1.0)  # 6 of 50 x 60 in float32, a scalar, a vector


@pytest.fixture
def hub(tmp_path: Path) -> Path:
    """A merge of two directories as transformers writes them, with small files of every kind."""
    for k, name in enumerate("ab"):
        generator = torch.Generator().manual_seed(k)
        folder = tmp_path / name
        folder.mkdir()
        state = {"embed_tokens.weight": torch.randn(7, 4, generator=generator)}
        save_file(state, folder / "model.safetensors", metadata={"format": "pt"})
        config = {"model_type": "tiny", "vocab_size": 7, "auto_map": {"AutoModel": "modeling.Tiny"}}
        (folder / "config.json").write_text(json.dumps(config))
        for small in ("tokenizer.json", "modeling.py", "chat_template.jinja"):
            (folder / small).write_text("{}")
    sp.merge_to(tmp_path / "hub", [tmp_path / "a", tmp_path / "b"], Average(), digest="sha256")
    return tmp_path / "hub"


SMALL = ("config.json", "tokenizer.json", "modeling.py", "chat_template.jinja", "README.md")


@pytest.mark.parametrize("name", SMALL)
def test_every_small_file_has_a_digest(name: str, hub: Path) -> None:
    assert verify(hub).ok
    raw = (hub / name).read_bytes()
    (hub / name).write_bytes(raw[:-1] + b"?")
    assert f"{name} was changed: its digest differs." in verify(hub).problems
    (hub / name).unlink()
    assert f"{name} is missing." in verify(hub).problems
    (hub / name).mkdir()
    assert f"{name} is not a file." in verify(hub).problems


@pytest.mark.parametrize("name", ["evil.py", "sub/deep/model.bin", "adapter_config.json", "x.SO"])
def test_what_a_library_would_load_is_a_problem_where_it_was_added(name: str, hub: Path) -> None:
    (hub / name).parent.mkdir(parents=True, exist_ok=True)
    (hub / name).write_text("{}")
    assert verify(hub).problems == (f"'{name}' was added: it is not among what was written.",)


def test_what_no_library_loads_is_a_note(hub: Path) -> None:
    for name in (".git/config.json", ".gitattributes", "photo.png", "logs/run.log"):
        (hub / name).parent.mkdir(parents=True, exist_ok=True)
        (hub / name).write_text("{}")
    found = verify(hub)
    assert found.ok
    assert found.notes == (
        "beside what was written there is '.git/', '.gitattributes', 'logs/run.log', 'photo.png', "
        "which no library loads.",
    )


def test_the_recorded_sha256_is_compared(hub: Path) -> None:
    data = told(hub)
    data["output"]["files"][0]["sha256"] = "0" * 64
    tell(hub, data)
    assert verify(hub).problems == (
        "model.safetensors is not what was written: its SHA-256 differs.",
    )


def test_a_manifest_that_was_changed_is_told(output: Path) -> None:
    data = told(output)
    data["seed"] = 7
    manifest(output).write_text(json.dumps(data, indent=1))
    name = manifest(output).name
    assert verify(output).problems == (f"{name} is not what was written: its seal does not fit.",)


def test_a_digest_that_was_taken_out_is_told(output: Path) -> None:
    data = told(output)
    data["tensors"]["w2"]["digest"] = None
    tell(output, data)
    assert verify(output).problems == (
        f"{manifest(output).name} has no digest of 'w2'; others have one.",
    )


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"seed": 7}, r"says seed 7; the repeated merge has 0\."),
        ({"methods": ["lies"]}, r"says methods \['lies'\]; the repeated merge has"),
    ],
)
def test_a_recompute_tells_what_was_changed_with_its_seal(
    change: dict[str, Any], words: str, output: Path
) -> None:
    tell(output, told(output) | change)
    assert verify(output).ok
    (problem,) = verify(output, recompute=True).problems
    assert re.search(words, problem)


def test_a_recompute_tells_digests_and_weights_that_were_changed(output: Path) -> None:
    data = told(output)
    data["tensors"]["w0"]["from"] = []
    data["tensors"]["w1"]["from"][1][1] = "0" * 64
    data["tensors"]["w2"]["weights"] = [0.25, 0.75]
    tell(output, data)
    name = manifest(output).name
    assert verify(output, recompute=True).problems == (
        f"{name} has other digests of 'w1' of the input b.safetensors.",
        f"{name} tells of 'w0', 'w2' another digest or merge than the repeated one.",
    )


def test_an_output_where_nan_was_allowed_is_as_written(tmp_path: Path) -> None:
    save_file({"w": torch.tensor([torch.nan, 1.0])}, tmp_path / "a.safetensors")
    out = tmp_path / "out.safetensors"
    sp.merge_to(out, [tmp_path / "a.safetensors"] * 2, Average(), allow_non_finite=True)
    found = verify(out, recompute=True)
    assert found.ok
    assert found.non_finite


def test_a_renamed_file_and_its_sidecar(models: list[Path], tmp_path: Path) -> None:
    sp.merge_to(tmp_path / "out.safetensors", models, Average(), digest="sha256")
    (tmp_path / "out.safetensors").rename(tmp_path / "new.safetensors")
    (tmp_path / "out.safetensors.merge.json").rename(tmp_path / "new.safetensors.merge.json")
    assert verify(tmp_path / "new.safetensors", recompute=True).ok


def test_a_recompute_from_any_directory_and_with_inputs_elsewhere(
    output: Path, models: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "sub").mkdir()
    monkeypatch.chdir(tmp_path / "sub")
    relative = Path("..") / output.name
    assert verify(relative, recompute=True).ok
    for model in models:
        model.rename(tmp_path / "sub" / model.name)
    with pytest.raises(OutputError, match=r"does not exist: pass --inputs DIR.*a\.safetensors"):
        verify(relative, recompute=True)
    assert verify(relative, recompute=True, inputs=".").ok


def test_inputs_of_one_name_are_told_apart_by_their_sizes(tmp_path: Path) -> None:
    for k, name in enumerate(("x/m.safetensors", "y/m.safetensors", "m.safetensors")):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        save_file({"w": torch.full((3 + 4 * (k // 2),), float(k))}, tmp_path / name)
    models = [tmp_path / "x/m.safetensors", tmp_path / "y/m.safetensors"]
    sp.merge_to(tmp_path / "out", models, Average())
    assert [one["name"] for one in told(tmp_path / "out")["inputs"]] == [
        "x/m.safetensors", "y/m.safetensors",
    ]  # fmt: skip
    assert verify(tmp_path / "out", recompute=True, inputs=tmp_path).ok


def test_an_output_of_the_first_format_still_verifies(
    hub: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = told(hub)
    for key in ("seal", "allow_non_finite"):
        del data[key]
    del data["output"]["small"]
    data["inputs"] = [{"path": name} for name in "ab"]
    manifest(hub).write_text(json.dumps(data | {"format": 1}))
    found = verify(hub)
    assert found.ok
    assert "an earlier version wrote it" in found.notes[0]
    (hub / "pytorch_model.bin").write_bytes(b"")
    assert "'pytorch_model.bin' was added" in verify(hub).problems[0]
    (hub / "pytorch_model.bin").unlink()
    monkeypatch.chdir(tmp_path)
    assert verify(hub, recompute=True).ok


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ('{"vocab_size": 8}', r"vocab_size 8; 'embed_tokens\.weight' has 7 rows"),
        ('{"text_config": {"vocab_size": 8}}', "vocab_size 8"),
        ("{", "config.json is not valid JSON"),
    ],
)
def test_a_configuration_that_contradicts_the_tensors(config: str, words: str, hub: Path) -> None:
    (hub / "config.json").write_text(config)
    data = told(hub)
    digest = blake3.blake3(config.encode()).hexdigest()
    data["output"]["small"]["config.json"] = {"bytes": len(config), "digest": digest}
    tell(hub, data)
    (problem,) = verify(hub).problems
    assert re.search(words, problem)


def test_a_file_in_place_of_which_there_is_a_fifo_is_no_hang(output: Path) -> None:
    manifest(output).unlink()
    os.mkfifo(manifest(output))
    with pytest.raises(OutputError, match="is not a file"):
        verify(output)
