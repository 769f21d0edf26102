"""`verify` says what is wrong with an output, and names it."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import blake3
import pytest
import torch
from safetensors.torch import load_file, save_file

import stockpot as sp
from stockpot.checkpoints.manifest import manifest_text
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
    seen: list[tuple[int, int]] = []
    verify(output, progress=lambda moved, total: seen.append((moved, total)))
    assert seen[-1][0] == seen[-1][1] == 6 * 50 * 60 * 4 + 4 + 4 * 8
