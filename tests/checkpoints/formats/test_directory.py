import json
from collections.abc import Mapping
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from stockpot.checkpoints.read import read_checkpoint
from stockpot.errors import CheckpointError

ONE = {"a.weight": torch.ones(2, 2), "b.weight": torch.full((3,), 2.0)}


def sharded(
    directory: Path,
    parts: Mapping[str, Mapping[str, torch.Tensor]],
    index: str = "model.safetensors.index.json",
    **weight_map: object,
) -> None:
    """Shards and their index; weight_map adds to what the index says."""
    directory.mkdir(exist_ok=True)
    for file, state in parts.items():
        if ".safetensors" in file:
            save_file(dict(state), directory / file, {"format": "pt"})
        else:
            torch.save(dict(state), directory / file)
    says: dict[str, object] = {name: file for file, state in parts.items() for name in state}
    content = {"metadata": {"total_size": 28}, "weight_map": says | weight_map}
    (directory / index).write_text(json.dumps(content))


TWO = {
    "model-00001-of-00002.safetensors": {"b.weight": ONE["b.weight"]},
    "model-00002-of-00002.safetensors": {"a.weight": ONE["a.weight"]},
}


def assert_is_one(path: Path) -> None:
    checkpoint = read_checkpoint(path)
    assert set(checkpoint.entries) == set(ONE)
    assert all(torch.equal(checkpoint.entries[name].load(), ONE[name]) for name in ONE)
    assert checkpoint.directory == path


@pytest.mark.parametrize(
    "name",
    [
        "model.safetensors",
        "diffusion_pytorch_model.safetensors",
        "open_clip_model.safetensors",
        "open_clip_pytorch_model.bin",
        "pytorch_model.bin",
        "whatever.safetensors",
        "epoch=3.ckpt",
        "best.pth.tar",
        "weights.pt",
    ],
)
def test_one_file(tmp_path: Path, name: str) -> None:
    if name.endswith("safetensors"):
        save_file(ONE, tmp_path / name)
    else:
        torch.save(ONE, tmp_path / name)
    for other in ("config.json", "tokenizer.json"):
        (tmp_path / other).write_text("{}")
    for other in ("training_args.bin", "optimizer.pt", "scheduler.pt", "rng_state_0.pth"):
        torch.save({"x": torch.ones(1)}, tmp_path / other)
    (tmp_path / "onnx").mkdir()
    assert_is_one(tmp_path)
    assert read_checkpoint(tmp_path).notes == ()


@pytest.mark.parametrize(
    ("index", "suffix"),
    [
        ("model.safetensors.index.json", "safetensors"),
        ("diffusion_pytorch_model.safetensors.index.json", "safetensors"),
        ("model.safetensors.index.fp16.json", "safetensors"),
        ("pytorch_model.bin.index.json", "bin"),
    ],
)
def test_shards(tmp_path: Path, index: str, suffix: str) -> None:
    parts = {name.replace("safetensors", suffix): state for name, state in TWO.items()}
    sharded(tmp_path, parts, index)
    assert_is_one(tmp_path)
    checkpoint = read_checkpoint(tmp_path)
    assert list(checkpoint.entries) == ["b.weight", "a.weight"]
    assert [file.path.name for file in checkpoint.files] == sorted(parts)
    if suffix == "safetensors":
        assert list(checkpoint.headers) == sorted(parts)
        assert checkpoint.metadata == {"format": "pt"}


def test_links_are_followed_as_the_caches_of_hubs_have_them(tmp_path: Path) -> None:
    blobs = tmp_path / "blobs"
    sharded(blobs, TWO)
    snapshot = tmp_path / "snapshots" / "0123abc"
    snapshot.mkdir(parents=True)
    for i, file in enumerate(sorted(blobs.iterdir())):
        blob = file.rename(blobs / f"{i:064x}")
        (snapshot / file.name).symlink_to(Path("../../blobs") / blob.name)
    assert_is_one(snapshot)


def test_safetensors_is_read_where_both_kinds_stand(tmp_path: Path) -> None:
    save_file(ONE, tmp_path / "model.safetensors")
    torch.save({"other": torch.ones(1)}, tmp_path / "pytorch_model.bin")
    assert_is_one(tmp_path)


def test_the_usual_name_comes_first_and_what_was_left_is_noted(tmp_path: Path) -> None:
    save_file(ONE, tmp_path / "model.safetensors")
    save_file({"x": torch.ones(1)}, tmp_path / "model.fp16.safetensors")
    save_file({"x": torch.ones(1)}, tmp_path / "open_clip_model.safetensors")
    assert_is_one(tmp_path)
    (note,) = read_checkpoint(tmp_path).notes
    assert "read model.safetensors, left 'model.fp16.safetensors', 'open_clip_model" in note


def test_consolidated_weights_beside_shards(tmp_path: Path) -> None:
    sharded(tmp_path, TWO)
    save_file({"x": torch.ones(1)}, tmp_path / "consolidated.safetensors")
    assert_is_one(tmp_path)


def message(path: Path) -> str:
    with pytest.raises(CheckpointError) as caught:
        read_checkpoint(path)
    text = str(caught.value)
    assert len(text) < 1200
    return text


def test_several_files_without_an_index_are_listed(tmp_path: Path) -> None:
    save_file(ONE, tmp_path / "a.safetensors")
    save_file(ONE, tmp_path / "b.safetensors")
    text = message(tmp_path)
    assert "several weight files" in text
    assert "'a.safetensors', 'b.safetensors'" in text
    assert "Name one of these files" in text


def test_an_index_beside_a_single_file_of_the_same_name(tmp_path: Path) -> None:
    sharded(tmp_path, TWO)
    save_file(ONE, tmp_path / "model.safetensors")
    text = message(tmp_path)
    assert "'model.safetensors'" in text
    assert "'model.safetensors.index.json'" in text


def test_shards_without_their_index(tmp_path: Path) -> None:
    sharded(tmp_path, TWO)
    (tmp_path / "model.safetensors.index.json").unlink()
    text = message(tmp_path)
    assert "shards without their index" in text
    assert "'model-00001-of-00002.safetensors'" in text


def test_no_weights(tmp_path: Path) -> None:
    assert "no weights in it: it holds no files" in message(tmp_path)
    (tmp_path / "config.json").write_text("{}")
    assert "it holds 'config.json'. Expected model.safetensors" in message(tmp_path)


def test_an_adapter_is_not_supported_yet(tmp_path: Path) -> None:
    (tmp_path / "adapter_config.json").write_text('{"peft_type": "LORA"}')
    save_file({"lora_A.weight": torch.ones(2, 2)}, tmp_path / "adapter_model.safetensors")
    text = message(tmp_path)
    assert "PEFT adapter ('LORA')" in text
    assert "not supported yet" in text
    assert "merge_and_unload" in text


def test_a_pipeline_names_its_components(tmp_path: Path) -> None:
    (tmp_path / "model_index.json").write_text("{}")
    for part, file in (("unet", "diffusion_pytorch_model"), ("text_encoder", "model")):
        (tmp_path / part).mkdir()
        save_file(ONE, tmp_path / part / f"{file}.safetensors")
    (tmp_path / "scheduler").mkdir()
    (tmp_path / "scheduler" / "scheduler_config.json").write_text("{}")
    text = message(tmp_path)
    assert "diffusers pipeline of several networks: 'text_encoder', 'unet'." in text
    assert str(tmp_path / "text_encoder") in text
    assert_is_one(tmp_path / "unet")


@pytest.mark.parametrize(
    "file",
    [
        "../outside.safetensors",
        "a/../../outside.safetensors",
        "..",
        "/etc/passwd",
        "//host/share",
        "..\\outside.safetensors",
        "C:\\x.safetensors",
        "C:x.safetensors",
        "a\x00b",
        "",
        ".",
        "./",
        None,
        7,
        ["model-00001-of-00002.safetensors"],
        {"a": 1},
        True,
    ],
    ids=repr,
)
def test_a_file_outside_the_directory_is_refused_by_its_text(tmp_path: Path, file: object) -> None:
    save_file({"x": torch.ones(1)}, tmp_path / "outside.safetensors")
    sharded(tmp_path / "m", TWO, x=file)
    text = message(tmp_path / "m")
    assert "'x' lies in" in text
    assert "Do not trust" in text
    assert "\x00" not in text


def test_a_file_below_the_directory_is_allowed(tmp_path: Path) -> None:
    sharded(tmp_path, TWO, c="deep/c.safetensors")
    (tmp_path / "deep").mkdir()
    save_file({"c": torch.ones(1)}, tmp_path / "deep" / "c.safetensors")
    assert list(read_checkpoint(tmp_path).entries) == ["c", "b.weight", "a.weight"]


@pytest.mark.parametrize("file", ["gone.safetensors", "x" * 5000, "directory"])
def test_a_missing_shard(tmp_path: Path, file: str) -> None:
    sharded(tmp_path, TWO, x=file)
    (tmp_path / "directory").mkdir()
    text = message(tmp_path)
    assert "1 of the 3 shards" in text
    assert f"'{file[:20]}" in text
    assert "incomplete" in text


def test_many_missing_shards_are_counted(tmp_path: Path) -> None:
    sharded(tmp_path, TWO, **{f"w{i}": f"s{i}.safetensors" for i in range(50)})
    text = message(tmp_path)
    assert "50 of the 52 shards" in text
    assert "and 42 more" in text


def test_a_dangling_link_is_a_missing_shard(tmp_path: Path) -> None:
    sharded(tmp_path, TWO)
    shard = tmp_path / "model-00001-of-00002.safetensors"
    shard.unlink()
    shard.symlink_to(tmp_path / "gone")
    assert "1 of the 2 shards" in message(tmp_path)


def test_a_tensor_that_is_missing_in_its_shard(tmp_path: Path) -> None:
    sharded(tmp_path, TWO, x="model-00001-of-00002.safetensors")
    text = message(tmp_path)
    assert "the index says that 'x' lies in" in text
    assert "model-00001-of-00002.safetensors" in text
    assert "does not have it" in text


def test_a_stale_index(tmp_path: Path) -> None:
    sharded(tmp_path, TWO)
    shard = "model-00001-of-00002.safetensors"
    save_file({"b.weight": ONE["b.weight"], "new": torch.ones(1)}, tmp_path / shard)
    text = message(tmp_path)
    assert f"{shard} holds 'new'; by the index 'new' is in no file" in text
    assert "stale" in text


def test_an_index_that_leaves_out_a_shard(tmp_path: Path) -> None:
    sharded(tmp_path, TWO)
    weight_map = {"b.weight": "model-00001-of-00002.safetensors"}
    index = tmp_path / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": weight_map}))
    text = message(tmp_path)
    assert "holds 'model-00002-of-00002.safetensors', which model.safetensors.index.json" in text
    assert "stale" in text


def test_shards_of_another_series_are_left(tmp_path: Path) -> None:
    sharded(tmp_path, TWO)
    for file in ("model-00003-of-00003.safetensors", "model.fp16-00001-of-00002.safetensors"):
        save_file({"x": torch.ones(1)}, tmp_path / file)
    assert_is_one(tmp_path)


def test_a_tensor_that_is_stored_twice(tmp_path: Path) -> None:
    sharded(tmp_path, TWO)
    save_file(ONE, tmp_path / "model-00001-of-00002.safetensors")
    text = message(tmp_path)
    assert "holds 'a.weight'" in text
    assert "lies in 'model-00002-of-00002.safetensors'" in text
    assert "stored twice" in text


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "not valid JSON"),
        (b"[]", "must be a JSON object"),
        (b"{}", "must have a weight_map"),
        (b'{"weight_map": {}}', "must have a weight_map"),
        (b'{"weight_map": ["a"]}', "must have a weight_map"),
        (b'{"weight_map": {"a": "x", "a": "y"}}', "'a' occurs twice"),
        (b'{"weight_map": {"a": NaN}}', "NaN is no number"),
        (b'{"weight_map": ' + b'{"a":' * 100_000, "nests too deeply"),
        (b'{"weight_map": {"\xff": "x"}}', "utf-8"),
    ],
    ids=["empty", "list", "none", "no tensors", "names", "twice", "nan", "deep", "bytes"],
)
def test_an_index_that_is_none(tmp_path: Path, content: bytes, words: str) -> None:
    (tmp_path / "model.safetensors.index.json").write_bytes(content)
    text = message(tmp_path)
    assert words in text
    assert "model.safetensors.index.json" in text


def test_an_index_of_absurd_length(tmp_path: Path) -> None:
    with (tmp_path / "model.safetensors.index.json").open("wb") as file:
        file.truncate(10**9)
    assert "1,000,000,000 bytes, too many for an index" in message(tmp_path)


def test_a_pointer_of_git_lfs_among_the_shards(tmp_path: Path) -> None:
    sharded(tmp_path, TWO)
    pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 28\n"
    (tmp_path / "model-00002-of-00002.safetensors").write_text(pointer)
    text = message(tmp_path)
    assert "model-00002-of-00002.safetensors is a git-lfs pointer" in text
    assert "git lfs pull" in text
