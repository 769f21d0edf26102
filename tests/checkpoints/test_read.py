import gzip
import os
from pathlib import Path

import pytest
import torch
from safetensors.torch import save, save_file

from stockpot.checkpoints.read import read_checkpoint
from stockpot.errors import CheckpointError

STATE = {"a.weight": torch.ones(2, 2), "b": torch.zeros(3)}


def message(path: str | Path) -> str:
    with pytest.raises(CheckpointError) as caught:
        read_checkpoint(path)
    return str(caught.value)


@pytest.mark.parametrize("name", ["m.safetensors", "m.pt", "m.bin", "m"])
def test_safetensors_under_any_name(tmp_path: Path, name: str) -> None:
    save_file(STATE, tmp_path / name)
    checkpoint = read_checkpoint(str(tmp_path / name))
    assert set(checkpoint.entries) == set(STATE)
    assert checkpoint.label == str(tmp_path / name)


def test_a_header_that_begins_like_a_pickle(tmp_path: Path) -> None:
    content = save({"a": torch.zeros(1)}, {"pad": "x" * 1000})
    size = int.from_bytes(content[:8], "little")
    header = content[8 : 8 + size].rstrip().ljust(0x480 + 0x80)
    assert header[:1] == b"{"
    path = tmp_path / "m"
    path.write_bytes((0x500).to_bytes(8, "little") + header.ljust(0x500) + content[8 + size :])
    assert list(read_checkpoint(path).entries) == ["a"]
    path.write_bytes((0x480).to_bytes(8, "little") + header[:0x480] + content[8 + size :])
    assert path.read_bytes().startswith(b"\x80\x04")
    assert list(read_checkpoint(path).entries) == ["a"]


@pytest.mark.parametrize(
    "prefix", ["module.", "_orig_mod.", "module._orig_mod.", "_orig_mod.module."]
)
@pytest.mark.parametrize("form", ["safetensors", "torch", "directory"])
def test_a_common_prefix_is_taken_off_with_a_note(tmp_path: Path, prefix: str, form: str) -> None:
    state = {prefix + name: tensor for name, tensor in STATE.items()}
    path = tmp_path / ("m.pt" if form == "torch" else "model.safetensors")
    if form == "torch":
        state[prefix + "tied"] = state[prefix + "b"]
        torch.save(state, path)
    else:
        save_file(state, path)
    checkpoint = read_checkpoint(tmp_path if form == "directory" else path)
    assert set(checkpoint.entries) == {name.removeprefix(prefix) for name in state}
    assert all(name == entry.name for name, entry in checkpoint.entries.items())
    assert torch.equal(checkpoint.entries["a.weight"].load(), torch.ones(2, 2))
    assert any(f"took the prefix {prefix!r} off all names" in note for note in checkpoint.notes)
    if form == "torch":
        assert checkpoint.entries["tied"].alias_of == "b"


@pytest.mark.parametrize(
    "names", [["module.a", "b"], ["module.", "module.a"], ["modules.a"], ["a.module.b"]]
)
def test_other_names_keep_their_prefix(tmp_path: Path, names: list[str]) -> None:
    save_file({name: torch.ones(1) for name in names}, tmp_path / "m")
    checkpoint = read_checkpoint(tmp_path / "m")
    assert set(checkpoint.entries) == set(names)
    assert checkpoint.notes == ()


def test_a_key_is_of_no_use_to_safetensors_and_noted(tmp_path: Path) -> None:
    save_file(STATE, tmp_path / "m.safetensors")
    (note,) = read_checkpoint(tmp_path / "m.safetensors", key="model").notes
    assert "key 'model' not used" in note


@pytest.mark.parametrize("name", ["m.safetensors", "m.pt"])
@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", ["is empty", "again"]),
        (b"<!DOCTYPE html><html><body>Sign in</body></html>", ["web page", "download"]),
        (b"\n  <html lang=en>", ["web page"]),
        (b"\xef\xbb\xbf<!doctype HTML>", ["web page"]),
        (b'<?xml version="1.0"?><Error>AccessDenied</Error>', ["web page"]),
        (b"version https://git-lfs.github.com/spec/v1\noid x", ["git-lfs pointer", "git lfs pull"]),
        (b"GGUF\x03\x00\x00\x00", ["GGUF"]),
        (b"\x89HDF\r\n\x1a\n", ["HDF5"]),
        (gzip.compress(b"x" * 100), ["gzip", "unpack"]),
        (b"\x93NUMPY\x01\x00", ["NumPy"]),
        (b"x" * 257 + b"ustar" + b"\x00" * 300, ["tar archive", "unpack"]),
        (b'{"error": "not found"}', ["JSON text"]),
    ],
    ids=[
        "empty",
        "html",
        "html2",
        "html3",
        "xml",
        "lfs",
        "gguf",
        "hdf5",
        "gzip",
        "npy",
        "tar",
        "json",
    ],
)
def test_what_people_pass_by_mistake(
    tmp_path: Path, name: str, content: bytes, words: list[str]
) -> None:
    (tmp_path / name).write_bytes(content)
    text = message(tmp_path / name)
    assert name in text
    assert [word for word in words if word not in text] == [], text


def test_anything_else_shows_how_it_begins(tmp_path: Path) -> None:
    (tmp_path / "m.pt").write_bytes(b"\x1b[31mhello" * 10)
    text = message(tmp_path / "m.pt")
    assert "neither a safetensors nor a torch file" in text
    assert "\\x1b[31mhello" in text


def test_an_index_is_not_its_directory(tmp_path: Path) -> None:
    (tmp_path / "model.safetensors.index.json").write_text('{"weight_map": {}}')
    assert "name its directory instead" in message(tmp_path / "model.safetensors.index.json")


def test_a_missing_file_suggests_close_names(tmp_path: Path) -> None:
    save_file(STATE, tmp_path / "model_a.safetensors")
    text = message(tmp_path / "model_b.safetensors")
    assert "model_b.safetensors does not exist" in text
    assert f"Did you mean {tmp_path / 'model_a.safetensors'}?" in text
    assert "Did you mean" not in message(tmp_path / "zzz")


@pytest.mark.parametrize("name", ["org/some-model-7B", "gpt2", "https://hub/org/model"])
def test_the_name_of_a_hub_is_not_supported_yet(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.chdir(tmp_path)
    text = message(name)
    assert f"{name} does not exist" in text
    assert "hub" in text
    assert "not supported yet" in text
    assert "Download it first" in text
    assert "hub" not in message("./model.safetensors")


@pytest.mark.parametrize("path", ["a\x00b", "x" * 5000, "\x00"])
def test_paths_that_cannot_be(path: str) -> None:
    text = message(path)
    assert "cannot read" in text
    assert len(text) < 500


def test_what_is_no_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    assert "neither a file nor a directory" in message(tmp_path / "pipe")
    os.mkfifo(tmp_path / "model.safetensors")
    assert "no weights in it" in message(tmp_path)
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    assert "cannot read" in message(tmp_path / "loop")


def test_the_same_path_twice(tmp_path: Path) -> None:
    save_file(STATE, tmp_path / "m.safetensors")
    first, second = (read_checkpoint(tmp_path / "m.safetensors") for _ in range(2))
    del first
    assert torch.equal(second.entries["b"].load(), STATE["b"])
